"""Graph's changes of users, groups and memberships."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._directory.rules import MAX_NAME, RegistrationError, check_user_name
from entra_guard.emulator._graph.errors import bad_request, missing
from entra_guard.emulator._graph.objects import USER_DEFAULT, group_row, user_row
from entra_guard.emulator._graph.odata import entity, list_in
from entra_guard.emulator._graph.people import find_group, find_user
from entra_guard.emulator._store.entries import Group, User

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._graph.access import Call

Found = re.Match[str]
USERS: Final = ("User.ReadWrite.All", "Directory.ReadWrite.All")
GROUPS: Final = ("Group.ReadWrite.All", "Directory.ReadWrite.All")
MEMBERS: Final = ("GroupMember.ReadWrite.All", *GROUPS)
_REQUIRED_OF_USER: Final = (
    "accountEnabled",
    "displayName",
    "mailNickname",
    "passwordProfile",
    "userPrincipalName",
)
_REQUIRED_OF_GROUP: Final = ("displayName", "mailEnabled", "mailNickname", "securityEnabled")
_USER_FIELDS: Final = {
    "displayName": "display_name",
    "givenName": "given_name",
    "surname": "surname",
    "mail": "mail",
    "jobTitle": "job_title",
    "userPrincipalName": "upn",
    "accountEnabled": "enabled",
}
_NICKNAME: Final = re.compile(r"[^\x00-\x20\x7f-\U0010ffff@()\\\[\]\";:<>,]{1,64}")
# Graph accepts these, and the emulator has no use for them.
_IGNORED_OF_USER: Final = frozenset(
    (
        *("mailNickname", "passwordProfile", "usageLocation", "businessPhones"),
        *("mobilePhone", "officeLocation", "preferredLanguage", "department"),
    )
)


def create_user(call: Call, _found: Found) -> Any:
    """Create a user. The password is not kept: the emulator's sign-in page has none."""
    body = call.body()
    _require(body, _REQUIRED_OF_USER, "User")
    tenant, store = call.tenant, call.store
    blank = User(store.ids.guid(), tenant.id, "", "", home_tenant_id=tenant.id)
    made = replace(blank, **_user_changes(call, body))
    _check_name_free(call, made)
    store.upsert(users=made)
    return entity(call.request, "users", user_row(made), default=USER_DEFAULT)


def change_user(call: Call, found: Found) -> None:
    user = find_user(call, found["id"])
    changes = _user_changes(call, call.body())
    _check_name_free(call, replace(user, **changes))
    call.service.people.update_user(user, **changes)


def delete_user(call: Call, found: Found) -> None:
    call.service.people.remove_user(find_user(call, found["id"]))


def _user_changes(call: Call, body: Mapping[str, Any]) -> dict[str, Any]:
    unknown = [name for name in body if name not in _USER_FIELDS and name not in _IGNORED_OF_USER]
    if unknown:
        raise bad_request(f"The emulator cannot set the property '{unknown[0]}' of resource 'User'.")
    wrong = [name for name, value in body.items() if not _is_valid(name, value)]
    if wrong:
        raise bad_request(f"Invalid value specified for property '{wrong[0]}' of resource 'User'.")
    name = body.get("userPrincipalName")
    if name is not None and name.partition("@")[2].lower() != call.tenant.domain:
        raise bad_request(
            "The domain portion of the userPrincipalName property is invalid. You must use one of the "
            f"verified domain names in your organization: {call.tenant.domain}."
        )
    return {_USER_FIELDS[name]: value for name, value in body.items() if name in _USER_FIELDS}


def _is_valid(name: str, value: Any) -> bool:
    if name == "accountEnabled":
        return isinstance(value, bool)
    if value is None:
        return name in {"mail", "jobTitle", *_IGNORED_OF_USER}
    if not isinstance(value, str):
        return name in _IGNORED_OF_USER
    if name == "mailNickname":
        return _NICKNAME.fullmatch(value) is not None
    if name == "userPrincipalName":
        return _is_user_name(value)
    return (value.strip() != "" and len(value) <= MAX_NAME) or name in _IGNORED_OF_USER


def _is_user_name(text: str) -> bool:
    try:
        check_user_name(text)
    except RegistrationError:
        return False
    return True


def _check_name_free(call: Call, user: User) -> None:
    others = (u for u in call.store.directory.users_in(call.tenant.id) if u.id != user.id)
    if any(other.upn.lower() == user.upn.lower() for other in others):
        raise bad_request("Another object with the same value for property userPrincipalName already exists.")


def create_group(call: Call, _found: Found) -> Any:
    body = call.body()
    _require(body, _REQUIRED_OF_GROUP, "Group")
    if body["mailEnabled"] is not False or body["securityEnabled"] is not True or body.get("groupTypes"):
        raise bad_request("The emulator has security groups only: mailEnabled false, securityEnabled true.")
    members = tuple(dict.fromkeys(_referenced(call, uri).id for uri in list_in(body, "members@odata.bind")))
    made = Group(call.store.ids.guid(), call.tenant.id, _text(body, "displayName", "Group"), members)
    call.store.upsert(groups=made)
    return entity(call.request, "groups", group_row(made))


def change_group(call: Call, found: Found) -> None:
    group, body = find_group(call, found["id"]), call.body()
    unknown = [name for name in body if name not in {"displayName", "members@odata.bind"}]
    if unknown:
        raise bad_request(f"The emulator cannot set the property '{unknown[0]}' of resource 'Group'.")
    added = [_referenced(call, uri) for uri in list_in(body, "members@odata.bind")]
    if "displayName" in body:
        group = call.service.people.update_group(group, name=_text(body, "displayName", "Group"))
    for user in added:
        group = _with_member(call, group, user)


def delete_group(call: Call, found: Found) -> None:
    call.service.people.remove_group(find_group(call, found["id"]))


def add_member(call: Call, found: Found) -> None:
    group = find_group(call, found["id"])
    _with_member(call, group, _referenced(call, call.body().get("@odata.id")))


def remove_member(call: Call, found: Found) -> None:
    group, member = find_group(call, found["id"]), found["member"]
    if member not in group.members:
        raise missing(member)
    call.service.people.remove_member(group, member)


def _with_member(call: Call, group: Group, user: User) -> Group:
    try:
        return call.service.people.add_member(group, user)
    except RegistrationError:
        raise bad_request(
            "One or more added object references already exist for the following modified properties: "
            "'members'."
        ) from None


def _referenced(call: Call, uri: Any) -> User:
    """Return the user that an `@odata.id` refers to: the last segment of the URL is the id."""
    if not isinstance(uri, str) or not uri:
        raise bad_request("Invalid value specified for property '@odata.id': use .../directoryObjects/{id}.")
    return find_user(call, uri.rstrip("/").rpartition("/")[2])


def _require(body: Mapping[str, Any], names: tuple[str, ...], kind: str) -> None:
    absent = next((name for name in names if body.get(name) in (None, "")), None)
    if absent is not None:
        raise bad_request(f"A value is required for property '{absent}' of resource '{kind}'.")


def _text(body: Mapping[str, Any], name: str, kind: str) -> str:
    value = body[name]
    if not isinstance(value, str) or not _is_valid(name, value):
        raise bad_request(f"Invalid value specified for property '{name}' of resource '{kind}'.")
    return value
