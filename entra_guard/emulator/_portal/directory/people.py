"""Users and groups: lists, new ones, and a page for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard.emulator._directory.rules import RegistrationError, user_name_from
from entra_guard.emulator._portal.choices import users_by_name
from entra_guard.emulator._portal.visit import FieldError, NotFoundError, PortalPage, get, post, segment

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.entries import Group, User

_USERS: Final = "/portal/users"
_GROUPS: Final = "/portal/groups"


def list_users(visit: Visit) -> Response:
    """Show the tenant's users."""
    directory, wanted, users = visit.directory, visit.text("q").lower(), users_by_name(visit)
    return visit.render(
        "users.html",
        title="Users",
        users=[u for u in users if wanted in f"{u.display_name} {u.upn} {u.mail or ''} {u.id}".lower()],
        any_user=bool(users),
        roles={user.id: directory.held_by(user.id) for user in users},
        homes=directory.tenants,
        filter_label="Filter users",
    )


def new_user(visit: Visit) -> Response:
    """Show the form of a new user."""
    return _user_form(visit, [])


def _user_form(visit: Visit, errors: list[FieldError]) -> Response:
    homes = [("", f"{visit.tenant.name} (a member)")]
    homes += [
        (t.id, f"{t.name} (a guest)") for t in visit.directory.tenants.values() if t.id != visit.tenant.id
    ]
    crumbs = [(_USERS, "Users")]
    return visit.render("user_new.html", title="New user", crumbs=crumbs, errors=errors, homes=homes)


def add_user(visit: Visit) -> Response:
    """Add a user. A name is enough: the user name is made from it."""
    shown = visit.text("display_name")
    name = visit.text("user_name") or user_name_from(shown)
    if not name:
        missing = (
            ("user_name", "Enter a user name in Latin letters.")
            if shown
            else ("display_name", "Enter a name.")
        )
        return _user_form(visit, [FieldError(*missing)])
    home = visit.text("home") or None
    try:
        user = visit.service.registrations.add_user(
            name, tenant=visit.tenant, display_name=shown or None, home=home
        )
    except RegistrationError as error:
        return _user_form(visit, [FieldError("user_name", str(error))])
    return visit.redirect(user_address(user), notice=f"{user.display_name} is added.")


def user_address(user: User) -> str:
    """Return the address of a user's page."""
    return f"{_USERS}/{segment(user.id)}"


def _find_user(visit: Visit) -> User:
    user = visit.directory.users.get(visit.path["user"])
    if user is None or user.tenant_id != visit.tenant.id:
        raise NotFoundError(f"No user has this id in {visit.tenant.name}.", _USERS, "Users")
    return user


def show_user(visit: Visit) -> Response:
    """Show a user: facts, roles by app, groups."""
    user, directory = _find_user(visit), visit.directory
    groups = [g for g in directory.groups.values() if user.id in g.members]
    inherited = {group.name: directory.held_by(group.id) for group in groups}
    return visit.render(
        "user.html",
        title=user.display_name,
        crumbs=[(_USERS, "Users")],
        user=user,
        home=directory.tenants.get(user.home_tenant_id),
        agent=directory.agents.get(user.agent_id),
        roles=directory.held_by(user.id),
        inherited=inherited,
        groups=groups,
    )


def enable_user(visit: Visit) -> Response:
    """Enable or disable a user. A disabled user cannot sign in, and the user's sessions end."""
    user, enabled = _find_user(visit), visit.text("enabled") == "1"
    visit.service.people.update_user(user, enabled=enabled)
    done = "can sign in again" if enabled else "is disabled and cannot sign in"
    return visit.redirect(user_address(user), notice=f"{user.display_name} {done}.")


def revoke_user(visit: Visit) -> Response:
    """End a user's sessions."""
    user = _find_user(visit)
    visit.service.consents.revoke(user)
    return visit.redirect(user_address(user), notice=f"The sessions of {user.display_name} ended.")


def delete_user(visit: Visit) -> Response:
    """Delete a user."""
    user = _find_user(visit)
    visit.service.people.remove_user(user)
    return visit.redirect(_USERS, notice=f"{user.display_name} is deleted.")


def list_groups(visit: Visit) -> Response:
    """Show the tenant's groups."""
    directory, wanted = visit.directory, visit.text("q").lower()
    groups = [g for g in directory.groups.values() if g.tenant_id == visit.tenant.id]
    return visit.render(
        "groups.html",
        title="Groups",
        groups=[g for g in groups if wanted in f"{g.name} {g.id}".lower()],
        any_group=bool(groups),
        roles={group.id: directory.held_by(group.id) for group in groups},
        filter_label="Filter groups",
    )


def new_group(visit: Visit) -> Response:
    """Show the form of a new group."""
    return _group_form(visit, [])


def _group_form(visit: Visit, errors: list[FieldError]) -> Response:
    return visit.render(
        "group_new.html",
        title="New group",
        crumbs=[(_GROUPS, "Groups")],
        errors=errors,
        users=users_by_name(visit),
        ticked=set(visit.all("member")),
    )


def add_group(visit: Visit) -> Response:
    """Add a security group."""
    name = visit.text("name")
    if not name:
        return _group_form(visit, [FieldError("name", "Enter a name.")])
    known = visit.directory.users
    members = [known[m] for m in visit.all("member") if m in known and known[m].tenant_id == visit.tenant.id]
    try:
        group = visit.service.registrations.add_group(name, *members, tenant=visit.tenant)
    except RegistrationError as error:
        return _group_form(visit, [FieldError("name", str(error))])
    return visit.redirect(_group_address(group), notice=f"{name} is added.")


def _group_address(group: Group) -> str:
    return f"{_GROUPS}/{segment(group.id)}"


def _find_group(visit: Visit) -> Group:
    group = visit.directory.groups.get(visit.path["group"])
    if group is None or group.tenant_id != visit.tenant.id:
        raise NotFoundError(f"No group has this id in {visit.tenant.name}.", _GROUPS, "Groups")
    return group


def show_group(visit: Visit) -> Response:
    """Show a group's members and roles."""
    return _group_page(visit, _find_group(visit), [])


def _group_page(visit: Visit, group: Group, errors: list[FieldError]) -> Response:
    directory = visit.directory
    others = [user for user in users_by_name(visit) if user.id not in group.members]
    return visit.render(
        "group.html",
        title=group.name,
        crumbs=[(_GROUPS, "Groups")],
        errors=errors,
        group=group,
        members=[directory.users[m] for m in group.members if m in directory.users],
        others=[(user.id, f"{user.display_name} ({user.upn})") for user in others],
        roles=directory.held_by(group.id),
    )


def add_member(visit: Visit) -> Response:
    """Add a user to a group."""
    group, user = _find_group(visit), visit.directory.users.get(visit.text("member"))
    if user is None or user.tenant_id != visit.tenant.id:
        return _group_page(visit, group, [FieldError("member", "Choose a user of this tenant.")])
    visit.service.people.add_member(group, user)
    return visit.redirect(_group_address(group), notice=f"{user.display_name} is a member.")


def remove_member(visit: Visit) -> Response:
    """Remove a user from a group."""
    group = _find_group(visit)
    visit.service.people.remove_member(group, visit.text("member"))
    return visit.redirect(_group_address(group), notice="The member is removed.")


def delete_group(visit: Visit) -> Response:
    """Delete a group."""
    group = _find_group(visit)
    visit.service.people.remove_group(group)
    return visit.redirect(_GROUPS, notice=f"{group.name} is deleted.")


PAGES: Final[tuple[PortalPage, ...]] = (
    get(_USERS, list_users),
    get(f"{_USERS}/new", new_user),
    post(f"{_USERS}/new", add_user),
    get(f"{_USERS}/{{user}}", show_user),
    post(f"{_USERS}/{{user}}/enable", enable_user),
    post(f"{_USERS}/{{user}}/revoke", revoke_user),
    post(f"{_USERS}/{{user}}/delete", delete_user),
    get(_GROUPS, list_groups),
    get(f"{_GROUPS}/new", new_group),
    post(f"{_GROUPS}/new", add_group),
    get(f"{_GROUPS}/{{group}}", show_group),
    post(f"{_GROUPS}/{{group}}/add", add_member),
    post(f"{_GROUPS}/{{group}}/remove", remove_member),
    post(f"{_GROUPS}/{{group}}/delete", delete_group),
)
