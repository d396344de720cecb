"""Change and remove users and groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from entra_guard.emulator._directory.rules import RegistrationError

if TYPE_CHECKING:
    from entra_guard.emulator._directory.consents import Consents
    from entra_guard.emulator._directory.lookup import Lookup, Person
    from entra_guard.emulator._store.entries import Group, Tenant, User


class People:
    """Change users, groups and memberships."""

    def __init__(self, lookup: Lookup, consents: Consents) -> None:
        self._lookup = lookup
        self._store = lookup.store
        self._consents = consents

    def update_user(self, user: Person, /, *, tenant: Tenant | str | None = None, **changes: Any) -> User:
        """Change a user: `update_user(alice, enabled=False)`. A disabled user's sessions end.

        Raises:
            LookupError: The user does not exist.
            RegistrationError: The new principal name belongs to another user.
        """
        found = self._lookup.find_user(user, tenant)
        changed = replace(self._store.directory.users[found.id], **changes)
        other = self._store.directory.user(changed.upn, changed.tenant_id)
        if other is not None and other.id != changed.id:
            raise RegistrationError(f"The user {changed.upn} exists already: choose another name.")
        self._store.upsert(users=changed)
        if not changed.enabled:
            self._consents.revoke(changed)
        return changed

    def remove_user(self, user: Person, *, tenant: Tenant | str | None = None) -> None:
        """Delete a user with memberships, role assignments and consents.

        Raises:
            LookupError: The user does not exist.
        """
        gone = self._lookup.find_user(user, tenant)
        with self._store.lock:
            self._consents.revoke(gone)
            for group in self._store.directory.groups.values():
                self.remove_member(group, gone.id)
            self._remove_holder(gone.id)
            self._store.remove(users=gone.id)

    def update_group(self, group: Group, /, **changes: Any) -> Group:
        """Change a group."""
        changed = replace(self._store.directory.groups[group.id], **changes)
        self._store.upsert(groups=changed)
        return changed

    def remove_group(self, group: Group) -> None:
        """Delete a group with its role assignments."""
        with self._store.lock:
            self._remove_holder(group.id)
            self._store.remove(groups=group.id)

    def add_member(self, group: Group, user: User) -> Group:
        """Add a user to a group.

        Raises:
            RegistrationError: The user is a member already.
        """
        present = self._store.directory.groups[group.id]
        if user.id in present.members:
            raise RegistrationError(f"{user.upn} is a member of {present.name} already.")
        return self.update_group(present, members=(*present.members, user.id))

    def remove_member(self, group: Group, user_id: str) -> Group:
        """Remove a user from a group. Do nothing if the user is not a member."""
        present = self._store.directory.groups[group.id]
        if user_id not in present.members:
            return present
        return self.update_group(present, members=tuple(m for m in present.members if m != user_id))

    def _remove_holder(self, holder_id: str) -> None:
        directory = self._store.directory
        assignments = {k: a for k, a in directory.assignments.items() if a.principal_id != holder_id}
        grants = {k: g for k, g in directory.grants.items() if g.principal_id != holder_id}
        self._store.change(directory=replace(directory, assignments=assignments, grants=grants))
