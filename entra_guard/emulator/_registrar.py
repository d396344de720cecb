"""The administrator's side: registering apps, giving them credentials, consenting, adding people."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from ._directory import (
    Accounts,
    AppRegistration,
    AppRole,
    Credentials,
    DelegatedGrant,
    Group,
    RoleAssignment,
    Scope,
    ServicePrincipal,
    StoredSecret,
    Tenant,
    User,
    adding,
)
from ._first_directory import with_first_party
from ._rules import RegistrationError, check, check_secret_count
from ._world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TWO_YEARS: Final = 2 * 365 * 24 * 3600.0
App = AppRegistration | str
"""An app registration, or the client id of one."""
Person = User | str
"""A user, or an id, user principal name or short name (`alice`) of one."""
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Secret:
    """A new client secret. This is the only place its value is ever shown; no repr has it.

    Attributes:
        value: What a client sends. Not to be confused with `key_id`.
        hint: The first three characters, which lists show later.
        expires: Seconds since 1970.
    """

    key_id: str
    description: str
    hint: str
    expires: float
    value: str = field(repr=False)


class Registrar(World):
    """What an administrator does in the Entra admin center, as methods."""

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
            created=self.now(),
        )
        return self._enrol(app, home, assignment_required=assignment_required)

    def _enrol(self, app: AppRegistration, home: Tenant, *, assignment_required: bool) -> AppRegistration:
        check(app, home)
        if app.client_id in self.directory.apps:
            raise RegistrationError(f"There is an app with the client id {app.client_id} already.")
        self._check_uris_free(app)
        principal = ServicePrincipal(
            app.service_principal_id,
            app.client_id,
            home.id,
            app.name,
            assignment_required,
            created=self.now(),
        )
        self.put(apps=app, principals=principal)
        return app

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

    def add_secret(
        self, app: App, *, description: str = "", expires_in: float = TWO_YEARS, value: str | None = None
    ) -> Secret:
        """Give an app one more client secret.

        Args:
            app: The app.
            description: A name for people.
            expires_in: Seconds until it expires; negative for one that has.
            value: A fixed value of at least 16 characters; by default a new one.

        Raises:
            RegistrationError: The app may have no more.
        """
        owner = self.find_app(app)
        held = self.directory.credentials_of(owner.client_id)
        check_secret_count(owner, len(held.secrets))
        secret = value or self.ids.secret()
        expires = self.now() + expires_in
        stored = StoredSecret(
            key_id=self.ids.guid(),
            description=description,
            hint=secret[:3],
            sha256=hashlib.sha256(secret.encode()).digest(),
            starts=min(self.now(), expires),
            expires=expires,
        )
        self.set_credentials(owner, replace(held, secrets=(*held.secrets, stored)))
        return Secret(stored.key_id, description, stored.hint, expires, secret)

    def remove_secret(self, app: App, key_id: str) -> None:
        """Take a client secret away.

        Raises:
            LookupError: The app has no secret with that key id.
        """
        owner = self.find_app(app)
        held = self.directory.credentials_of(owner.client_id)
        kept = tuple(s for s in held.secrets if s.key_id != key_id)
        if len(kept) == len(held.secrets):
            raise LookupError(f"{owner.name} has no secret with the key id {key_id}.")
        self.set_credentials(owner, replace(held, secrets=kept))

    def set_credentials(self, app: AppRegistration, credentials: Credentials) -> None:
        """Replace all an app may prove itself by."""
        held = adding(self.directory.credentials, app.client_id, credentials)
        self.change(directory=replace(self.directory, credentials=held))

    def consent(self, app: App, *, tenant: Tenant | str | None = None) -> ServicePrincipal:
        """Make an app present in a tenant, as the first consent of anyone there does.

        Raises:
            RegistrationError: The app is for its own organisation only.
        """
        guest, where = self.find_app(app), self.find_tenant(tenant)
        present = self.directory.principal_of(guest.client_id, where.id)
        if present is not None:
            return present
        if guest.accounts == "AzureADMyOrg" and where.id != guest.tenant_id:
            raise RegistrationError(
                f"{guest.name} is a single-tenant app: register it with AzureADMultipleOrgs."
            )
        principal = ServicePrincipal(
            self.ids.guid(), guest.client_id, where.id, guest.name, created=self.now()
        )
        self.put(principals=principal)
        return principal

    def grant(
        self, client: App, api: App, *roles: str, tenant: Tenant | str | None = None
    ) -> tuple[RoleAssignment, ...]:
        """Give a client application permissions of an API, with admin consent.

        Args:
            client: Who gets them.
            api: Whose they are.
            roles: Values of the API's app roles.
            tenant: Where; by default the client's home tenant.

        Raises:
            RegistrationError: No role named, or one the API does not offer to applications.
        """
        where = tenant or self.find_app(client).tenant_id
        principal = self.consent(client, tenant=where)
        return self._assign(principal.id, "ServicePrincipal", api, roles, self.find_tenant(where))

    def assign(self, who: Person | Group, api: App, *roles: str) -> tuple[RoleAssignment, ...]:
        """Give a user or a group app roles of an API.

        Raises:
            RegistrationError: No role named, or one the API does not offer to users.
        """
        holder = who if isinstance(who, Group) else self.find_user(who)
        kind: Literal["Group", "User"] = "Group" if isinstance(holder, Group) else "User"
        return self._assign(holder.id, kind, api, roles, self.find_tenant(holder.tenant_id))

    def _assign(
        self,
        principal_id: str,
        kind: Literal["ServicePrincipal", "User", "Group"],
        api: App,
        roles: Iterable[str],
        where: Tenant,
    ) -> tuple[RoleAssignment, ...]:
        resource = self.find_app(api)
        target = self.consent(resource, tenant=where)
        member = "Application" if kind == "ServicePrincipal" else "User"
        wanted = [_offered(resource, value, member) for value in roles]
        if not wanted:
            raise RegistrationError(
                f"Name at least one app role of {resource.name}: {_listed(resource, member)}."
            )
        made = tuple(
            RoleAssignment(self.ids.text(32), where.id, principal_id, kind, target.id, role.id, self.now())
            for role in wanted
        )
        for assignment in made:
            self.put(assignments=assignment)
        return made

    def grant_delegated(
        self,
        client: App,
        api: App,
        *scopes: str,
        user: Person | None = None,
        tenant: Tenant | str | None = None,
    ) -> DelegatedGrant:
        """Consent to delegated permissions, for one user or for everyone in the tenant.

        Raises:
            RegistrationError: No scope named, or one the API does not have.
        """
        resource, where = self.find_app(api), self.find_tenant(tenant or self.find_app(client).tenant_id)
        known = [s.value for s in resource.scopes if s.enabled]
        unknown = [s for s in scopes if s not in known]
        if unknown or not scopes:
            raise RegistrationError(f"{resource.name} offers these scopes: {', '.join(known) or 'none'}.")
        grant = DelegatedGrant(
            self.ids.text(32),
            where.id,
            self.consent(client, tenant=where).id,
            self.consent(resource, tenant=where).id,
            scopes,
            None if user is None else self.find_user(user, where).id,
        )
        self.put(grants=grant)
        return grant

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

    def find_tenant(self, tenant: Tenant | str | None = None) -> Tenant:
        """The tenant of that id or domain; the first one for nothing.

        Raises:
            LookupError: There is none.
        """
        if tenant is None:
            return next(iter(self.directory.tenants.values()))
        found = self.directory.tenant(tenant if isinstance(tenant, str) else tenant.id)
        return _found(found, f"There is no tenant {tenant!r}: add_tenant() first.")

    def find_app(self, app: App) -> AppRegistration:
        """The registration as it stands now.

        Raises:
            LookupError: There is none.
        """
        client_id = app if isinstance(app, str) else app.client_id
        return _found(
            self.directory.apps.get(client_id), f"There is no app {client_id!r}: register_app() first."
        )

    def find_user(self, user: Person, tenant: Tenant | str | None = None) -> User:
        """The user as they stand now.

        Raises:
            LookupError: There is none.
        """
        if isinstance(user, User):
            return user
        where = self.find_tenant(tenant)
        return _found(
            self.directory.user(user, where.id), f"There is no user {user!r} in {where.name}: add_user()."
        )


def _found(value: P | None, otherwise: str) -> P:
    if value is None:
        raise LookupError(otherwise)
    return value


def _offered(api: AppRegistration, value: str, member: str) -> AppRole:
    role = next((r for r in api.app_roles if r.value == value), None)
    if role is None:
        raise RegistrationError(f"{api.name} has no app role {value!r}; it has: {_listed(api, member)}.")
    if not role.enabled:
        raise RegistrationError(f"The app role {value!r} of {api.name} is disabled.")
    if member not in role.allowed_member_types:
        raise RegistrationError(
            f"{api.name} does not offer {value!r} to {member}s: see allowed_member_types."
        )
    return role


def _listed(api: AppRegistration, member: str) -> str:
    return ", ".join(r.value for r in api.app_roles if member in r.allowed_member_types) or "none"
