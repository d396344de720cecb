"""Registering: tenants, apps with their service principals, people and groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from entra_guard.emulator._directory.lookup import App, Lookup, Person
from entra_guard.emulator._directory.rules import RegistrationError, check
from entra_guard.emulator._store.directory import (
    Accounts,
    AppRegistration,
    AppRole,
    Group,
    Scope,
    ServicePrincipal,
    Tenant,
    User,
    without,
)
from entra_guard.emulator._store.first_directory import with_first_party

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Registrar(Lookup):
    """Adds what a directory holds."""

    def add_tenant(self, name: str, *, domain: str | None = None, tenant_id: str | None = None) -> Tenant:
        """Add an organisation.

        Args:
            name: Its display name.
            domain: Its verified domain; by default `<name>.onmicrosoft.com`.
            tenant_id: Its GUID; by default a new one.
        """
        plain = "".join(c for c in name.lower() if c.isalnum())
        tenant = Tenant(
            (tenant_id or self.ids.guid()).lower(), name, (domain or f"{plain}.onmicrosoft.com").lower()
        )
        if self.directory.tenant(tenant.id) or self.directory.tenant(tenant.domain):
            raise RegistrationError(f"There is a tenant {tenant.domain} or {tenant.id} already.")
        with self.lock:
            self.put(tenants=tenant)
            self.change(directory=with_first_party(self.directory, tenant))
        return tenant

    def register_app(
        self,
        name: str,
        *,
        tenant: Tenant | str | None = None,
        accounts: Accounts = "AzureADMyOrg",
        app_roles: Iterable[AppRole | str] = (),
        scopes: Iterable[Scope | str] = (),
        token_version: Literal[1, 2] | None = 2,
        identifier_uris: Sequence[str] | None = None,
        redirect_uris: Sequence[str] = (),
        spa_redirect_uris: Sequence[str] = (),
        public_redirect_uris: Sequence[str] = (),
        public_client: bool = False,
        optional_claims: Sequence[str] = (),
        group_claims: bool = False,
        assignment_required: bool = False,
        client_id: str | None = None,
        permissions: Mapping[AppRegistration, Sequence[str]] | Mapping[str, Sequence[str]] | None = None,
    ) -> AppRegistration:
        """Register an app, an API or a client, and its service principal in its own tenant.

        Args:
            name: Display name.
            tenant: Home tenant, by id or domain; Contoso by default.
            accounts: Who may use it, as `signInAudience` says.
            app_roles: Roles it offers; a plain word is a role for apps and users.
            scopes: Delegated permissions it offers; a plain word is one a user may consent to.
            token_version: Version of the access tokens this API receives; None is Entra's own default, 1.
            identifier_uris: App ID URIs; `api://<client id>` by default, `()` for none.
            redirect_uris: Redirect URIs of its web platform.
            spa_redirect_uris: Those of its single-page platform, which may redeem codes from a browser.
            public_redirect_uris: Those of its desktop and mobile platform.
            public_client: Whether it may use flows that need no credential.
            optional_claims: Names this API wants in access tokens: `idtyp`, `email`, `xms_cc`, ...
            group_claims: Whether tokens for it list the user's groups.
            assignment_required: Whether a client needs an assigned role to get any token.
            client_id: A fixed client id; by default a new GUID.
            permissions: What it needs of other APIs, by values of roles and scopes; admin consent grants it.

        Raises:
            RegistrationError: Entra would refuse it.
        """
        home = self.find_tenant(tenant)
        app_id = client_id or self.ids.guid()
        roles = tuple(
            r if isinstance(r, AppRole) else AppRole(self.ids.guid(), r, display_name=r) for r in app_roles
        )
        app = AppRegistration(
            client_id=app_id,
            object_id=self.ids.guid(),
            tenant_id=home.id,
            name=name,
            accounts=accounts,
            service_principal_id=self.ids.guid(),
            identifier_uris=(f"api://{app_id}",) if identifier_uris is None else tuple(identifier_uris),
            app_roles=roles,
            scopes=tuple(
                s if isinstance(s, Scope) else Scope(self.ids.guid(), s, display_name=s) for s in scopes
            ),
            token_version=token_version,
            redirect_uris=tuple(redirect_uris),
            spa_redirect_uris=tuple(spa_redirect_uris),
            public_redirect_uris=tuple(public_redirect_uris),
            public_client=public_client,
            optional_claims=tuple(optional_claims),
            group_claims=group_claims,
            required=tuple(
                (self.find_app(api).client_id, tuple(n)) for api, n in (permissions or {}).items()
            ),
            created=self.now(),
        )
        return self._enrol(app, home, assignment_required=assignment_required)

    def add_app(self, app: AppRegistration) -> AppRegistration:
        """Add a registration as it is, without a service principal, as Graph does.

        Raises:
            RegistrationError: Entra would refuse it.
        """
        check(app, self.find_tenant(app.tenant_id))
        if app.client_id in self.directory.apps:
            raise RegistrationError(f"There is an app with the client id {app.client_id} already.")
        self._check_uris_free(app)
        self.put(apps=app)
        return app

    def _enrol(self, app: AppRegistration, home: Tenant, *, assignment_required: bool) -> AppRegistration:
        self.add_app(app)
        principal = ServicePrincipal(
            app.service_principal_id,
            app.client_id,
            home.id,
            app.name,
            assignment_required,
            created=self.now(),
        )
        self.put(principals=principal)
        return app

    def remove_principal(self, principal_id: str) -> None:
        """Take an app out of a tenant, with what was assigned and consented to there."""
        directory = self.directory
        assignments = {
            key: a
            for key, a in directory.assignments.items()
            if principal_id not in {a.principal_id, a.resource_id}
        }
        grants = {
            key: g for key, g in directory.grants.items() if principal_id not in {g.client_id, g.resource_id}
        }
        principals = without(directory.principals, principal_id)
        self.change(
            directory=replace(directory, principals=principals, assignments=assignments, grants=grants)
        )

    def remove_app(self, app: App) -> None:
        """Delete a registration, its credentials and its service principals."""
        gone = self.find_app(app)
        for principal in self.directory.principals.values():
            if principal.app_id == gone.client_id:
                self.remove_principal(principal.id)
        self.remove(apps=gone.client_id, credentials=gone.client_id)

    def _check_uris_free(self, app: AppRegistration) -> None:
        for uri in app.identifier_uris:
            other = self.directory.resource(uri, app.tenant_id)
            if other is not None and other.client_id != app.client_id:
                raise RegistrationError(
                    f"App ID URI {uri} belongs to {other.name} ({other.client_id}) already."
                )

    def update_app(self, app: App, **changes: Any) -> AppRegistration:
        """Change a registration: `update_app(api, token_version=1)`. The old view stays as it was.

        Raises:
            RegistrationError: Entra would refuse it so.
        """
        changed = replace(self.find_app(app), **changes)
        check(changed, self.find_tenant(changed.tenant_id))
        self._check_uris_free(changed)
        self.put(apps=changed)
        return changed

    def add_user(
        self,
        name: str,
        *,
        tenant: Tenant | str | None = None,
        display_name: str | None = None,
        home: Tenant | str | None = None,
    ) -> User:
        """Add a user, or with `home` a guest from another tenant.

        Args:
            name: The part of the user principal name before the @, or the whole of it.
            tenant: Where; Contoso by default.
            display_name: By default made from the name.
            home: A guest's own tenant.
        """
        where = self.find_tenant(tenant)
        origin = self.find_tenant(home) if home else where
        mail = name if "@" in name else f"{name}@{origin.domain}"
        upn = mail if origin is where else f"{mail.replace('@', '_')}#EXT#@{where.domain}"
        shown = display_name or mail.partition("@")[0].replace(".", " ").title()
        given, _, surname = shown.partition(" ")
        user = User(self.ids.guid(), where.id, upn, shown, given, surname, mail, home_tenant_id=origin.id)
        if self.directory.user(upn, where.id):
            raise RegistrationError(f"There is a user {upn} in {where.name} already.")
        self.put(users=user)
        return user

    def add_group(self, name: str, *members: Person, tenant: Tenant | str | None = None) -> Group:
        """Add a security group with these members."""
        where = self.find_tenant(tenant)
        group = Group(self.ids.guid(), where.id, name, tuple(self.find_user(m, where).id for m in members))
        self.put(groups=group)
        return group
