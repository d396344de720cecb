"""Graph's users, groups, organisation, and the signed-in user."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._graph.errors import missing
from entra_guard.emulator._graph.objects import USER_DEFAULT, group_row, organization_row, user_row
from entra_guard.emulator._graph.odata import PlainText, collection, count, entity
from entra_guard.emulator._store.entries import GRAPH
from entra_guard.emulator._tokens.claims import pairwise

if TYPE_CHECKING:
    from entra_guard.emulator._graph.access import Call
    from entra_guard.emulator._store.entries import Group, User

Found = re.Match[str]
USERS: Final = ("User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All")
PROFILES: Final = (*USERS, "User.ReadBasic.All")
GROUPS: Final = (
    *("GroupMember.Read.All", "GroupMember.ReadWrite.All", "Group.Read.All", "Group.ReadWrite.All"),
    *("Directory.Read.All", "Directory.ReadWrite.All"),
)
ORGANIZATION: Final = ("Organization.Read.All", "Directory.Read.All", "Directory.ReadWrite.All")


def users(call: Call, _found: Found) -> Any:
    rows = [user_row(u) for u in call.store.directory.users_in(call.tenant.id)]
    return collection(call.request, "users", rows, default=USER_DEFAULT)


def users_count(call: Call, _found: Found) -> PlainText:
    return count(call.request, "users", [user_row(u) for u in call.store.directory.users_in(call.tenant.id)])


def user(call: Call, found: Found) -> Any:
    return entity(call.request, "users", user_row(find_user(call, found["id"])), default=USER_DEFAULT)


def me(call: Call, _found: Found) -> Any:
    return entity(call.request, "users", user_row(call.user()), default=USER_DEFAULT)


def my_groups(call: Call, _found: Found) -> Any:
    return _groups_of(call, call.user())


def groups_of_user(call: Call, found: Found) -> Any:
    return _groups_of(call, find_user(call, found["id"]))


def _groups_of(call: Call, who: User) -> Any:
    held = call.store.directory.group_ids_of(who.id)
    rows = [group_row(call.store.directory.groups[identifier]) for identifier in held]
    typed = [{"@odata.type": "#microsoft.graph.group", **row} for row in rows]
    return collection(call.request, "directoryObjects", typed)


def my_member_objects(call: Call, _found: Found) -> Any:
    return _member_objects(call, call.user())


def member_objects_of_user(call: Call, found: Found) -> Any:
    """Return the ids of all groups of a user: what a token with too many groups refers to."""
    return _member_objects(call, find_user(call, found["id"]))


def _member_objects(call: Call, who: User) -> Any:
    call.body()
    context = f"{call.request.base}/v1.0/$metadata#Collection(Edm.String)"
    return {"@odata.context": context, "value": list(call.store.directory.group_ids_of(who.id))}


def groups(call: Call, _found: Found) -> Any:
    return collection(call.request, "groups", [group_row(g) for g in _tenant_groups(call)])


def groups_count(call: Call, _found: Found) -> PlainText:
    return count(call.request, "groups", [group_row(g) for g in _tenant_groups(call)])


def group(call: Call, found: Found) -> Any:
    return entity(call.request, "groups", group_row(find_group(call, found["id"])))


def group_members(call: Call, found: Found) -> Any:
    people = [call.store.directory.users[member] for member in find_group(call, found["id"]).members]
    rows = [{"@odata.type": "#microsoft.graph.user", **user_row(u)} for u in people]
    return collection(call.request, "directoryObjects", rows, default=USER_DEFAULT)


def organization(call: Call, _found: Found) -> Any:
    return collection(call.request, "organization", [organization_row(call.tenant)])


def user_info(call: Call, _found: Found) -> Any:
    """Return OpenID Connect user information, an endpoint of Graph."""
    who = call.user()
    shown = {
        "sub": pairwise(who.id, GRAPH),
        "name": who.display_name,
        "family_name": who.surname,
        "given_name": who.given_name,
        "picture": f"{call.request.base}/v1.0/me/photo/$value",
        "email": who.mail,
    }
    return {name: value for name, value in shown.items() if value}


def find_user(call: Call, identifier: str) -> User:
    found = call.store.directory.users_in(call.tenant.id)
    wanted = identifier.lower()
    who = next((u for u in found if wanted in {u.id, u.upn.lower()}), None)
    if who is None:
        raise missing(identifier)
    return who


def _tenant_groups(call: Call) -> list[Group]:
    return [g for g in call.store.directory.groups.values() if g.tenant_id == call.tenant.id]


def find_group(call: Call, identifier: str) -> Group:
    found = next((g for g in _tenant_groups(call) if g.id == identifier), None)
    if found is None:
        raise missing(identifier)
    return found
