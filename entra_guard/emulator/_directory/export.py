"""Export the directory as a seed. Values of secrets are not known: their hashes are exported."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from entra_guard.emulator._directory.seed_format import (
    AgentSeed,
    AppSeed,
    CertificateSeed,
    FederatedSeed,
    GroupSeed,
    IdentitySeed,
    Permissions,
    RoleSeed,
    ScopeSeed,
    SecretSeed,
    Seed,
    TenantSeed,
    UserSeed,
)
from entra_guard.emulator._store.entries import CONSUMERS, GRAPH, ServicePrincipal
from entra_guard.emulator._store.permissions import offered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from entra_guard.emulator._store.directory import Directory
    from entra_guard.emulator._store.entries import (
        AppRegistration,
        AppRole,
        FederatedCredential,
        Group,
        ManagedIdentity,
        Scope,
        StoredCertificate,
        StoredSecret,
        Tenant,
        User,
    )

_MEMBERS: Final = {"Application": "apps", "User": "users"}


def export_directory(directory: Directory) -> dict[str, Any]:
    """Return the directory as the JSON of a seed. Members with their default value are left out.

    Sessions, keys, faults and the clock are not part of a seed: `--state` keeps them. The accounts of deleted
    agents are left out.
    """
    tenants = [t for t in directory.tenants.values() if t.id != CONSUMERS or _has_entries(directory, t)]
    seed = Seed([_Exporter(directory, tenant).tenant() for tenant in tenants])
    return msgspec.to_builtins(seed)  # type: ignore[no-any-return]


def _has_entries(directory: Directory, tenant: Tenant) -> bool:
    return any(True for _ in directory.users_in(tenant.id))


class _Exporter:
    """Describe one tenant."""

    def __init__(self, directory: Directory, tenant: Tenant) -> None:
        self._directory = directory
        self._tenant = tenant

    def tenant(self) -> TenantSeed:
        here = self._tenant.id
        return TenantSeed(
            self._tenant.name,
            here,
            self._tenant.domain,
            self._tenant.region,
            users=[
                self._user(user) for user in self._directory.users_in(here) if self._can_be_imported(user)
            ],
            groups=[
                self._group(group) for group in self._directory.groups.values() if group.tenant_id == here
            ],
            apps=[self._app(app) for app in self._directory.apps.values() if app.tenant_id == here],
            identities=[
                self._identity(i) for i in self._directory.identities.values() if i.tenant_id == here
            ],
        )

    def _can_be_imported(self, user: User) -> bool:
        """Return False for the account of a deleted agent, which no seed can name."""
        return not user.agent_id or user.agent_id in self._directory.agents

    def _user(self, user: User) -> UserSeed:
        home = user.home_tenant_id if user.is_guest else ""
        return UserSeed(
            user.upn,
            user.id,
            user.display_name,
            user.mail,
            user.job_title,
            home,
            user.enabled,
            self._roles(user.id),
            user.agent_id,
        )

    def _group(self, group: Group) -> GroupSeed:
        members = [self._directory.users[member] for member in group.members]
        names = [user.upn for user in members if self._can_be_imported(user)]
        return GroupSeed(group.name, group.id, names, self._roles(group.id))

    def _identity(self, identity: ManagedIdentity) -> IdentitySeed:
        return IdentitySeed(
            identity.name,
            identity.client_id,
            identity.id,
            identity.resource_path,
            identity.system_assigned,
            self._roles(identity.id),
        )

    def _app(self, app: AppRegistration) -> AppSeed:
        principal = self._directory.principal_of(app.client_id, self._tenant.id)
        held = self._directory.credentials_of(app.client_id)
        return AppSeed(
            app.name,
            app.client_id,
            app.object_id,
            principal.id if principal else "",
            app.unique_name or "",
            app.accounts,
            app.token_version,
            list(app.identifier_uris),
            roles=[_role(role) for role in app.app_roles],
            scopes=[_scope(scope) for scope in app.scopes],
            redirect_uris=list(app.redirect_uris),
            spa_redirect_uris=list(app.spa_redirect_uris),
            public_redirect_uris=list(app.public_redirect_uris),
            public_client=app.public_client,
            optional_claims=list(app.optional_claims),
            group_claims=app.group_claims,
            authorized_clients=_authorized_clients(app),
            assignment_required=bool(principal and principal.assignment_required),
            enabled=principal.enabled if principal else True,
            secrets=[_secret(secret) for secret in held.secrets],
            certificates=[_certificate(certificate) for certificate in held.certificates],
            federated=[_federated(credential) for credential in held.federated],
            permissions=self._permissions(app),
            granted=self._granted(principal) if principal else False,
            blueprint=app.is_blueprint,
            agents=self._agents(app),
        )

    def _agents(self, blueprint: AppRegistration) -> list[str | AgentSeed]:
        return [
            AgentSeed(agent.name, agent.id, self._granted(self._directory.principals[agent.id]) or {})
            for agent in self._directory.agents.values()
            if agent.blueprint_id == blueprint.client_id
        ]

    def _permissions(self, app: AppRegistration) -> Permissions:
        found: Permissions = {}
        for access in app.required:
            api = self._directory.apps.get(access.api_id)
            if api is None:
                continue
            values = offered(api)
            known = [p for p in access.permissions if p in values]
            found[_api_name(api.client_id)] = [f"{p.type.lower()}:{values[p]}" for p in known]
        return found

    def _granted(self, principal: ServicePrincipal) -> Literal[False] | Permissions:
        found = {api: [f"role:{v}" for v in values] for api, values in self._roles(principal.id).items()}
        for grant in self._directory.grants.values():
            if grant.client_id == principal.id and grant.principal_id is None:
                api = _api_name(self._directory.principals[grant.resource_id].app_id)
                found.setdefault(api, []).extend(f"scope:{scope}" for scope in grant.scopes)
        return found or False

    def _roles(self, holder_id: str) -> Permissions:
        found: Permissions = {}
        for api_id, value in self._assigned(holder_id):
            found.setdefault(_api_name(api_id), []).append(value)
        return found

    def _assigned(self, holder_id: str) -> Iterable[tuple[str, str]]:
        for assignment in self._directory.assignments.values():
            if assignment.principal_id != holder_id:
                continue
            app_id = self._directory.principals[assignment.resource_id].app_id
            app = self._directory.apps.get(app_id)
            role = next((r for r in (app.app_roles if app else ()) if r.id == assignment.role_id), None)
            if role is not None:
                yield app_id, role.value


def _role(role: AppRole) -> RoleSeed:
    members = [_MEMBERS[member] for member in role.allowed_member_types]
    return RoleSeed(role.value, role.id, role.display_name, role.description, members, role.enabled)


def _scope(scope: Scope) -> ScopeSeed:
    return ScopeSeed(scope.value, scope.id, scope.display_name, scope.type == "Admin", scope.enabled)


def _authorized_clients(app: AppRegistration) -> Permissions:
    return {
        client.client_id: [scope.value for scope in app.scopes if scope.id in client.scope_ids]
        for client in app.authorized_clients
    }


def _secret(secret: StoredSecret) -> SecretSeed:
    return SecretSeed(
        sha256=secret.sha256.hex(),
        hint=secret.hint,
        id=secret.key_id,
        description=secret.description,
        expires=_time(secret.expires),
    )


def _certificate(certificate: StoredCertificate) -> CertificateSeed:
    pem = ssl.DER_cert_to_PEM_cert(certificate.der)
    return CertificateSeed(pem, certificate.key_id, certificate.description)


def _federated(credential: FederatedCredential) -> FederatedSeed:
    return FederatedSeed(
        credential.issuer,
        credential.subject,
        credential.audience,
        credential.name,
        credential.id,
        credential.description,
        dict(credential.jwks) if credential.jwks else None,
    )


def _api_name(client_id: str) -> str:
    return "graph" if client_id == GRAPH else client_id


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")
