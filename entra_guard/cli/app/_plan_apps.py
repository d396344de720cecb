"""Plans that register, update and delete applications. Do no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from entra_guard._escaping import escape
from entra_guard.cli.app._calls import CommandError, GraphCall, Plan, Question, Row
from entra_guard.cli.app._find import (
    app_with_unique_name,
    app_with_uri,
    assumed_app,
    create_principal,
    existing_principal,
    find_app,
    only,
    principal_of,
)
from entra_guard.cli.app._rows import merged, new_role, new_scope, part, roles_of, rows_in, scopes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PLATFORMS: Final[Mapping[str, str]] = {"web": "web", "spa": "spa", "public": "publicClient"}
_V2: Final = 2


@dataclass(frozen=True, slots=True)
class AppSpec:
    """What to register.

    Attributes:
        accounts: The `signInAudience`.
        api: Whether it accepts tokens: then it gets an App ID URI and v2.0 tokens.
        roles: Values of its app roles.
        scopes: Values of its scopes.
        uris: Redirect URIs by platform: web, spa, public.
        unique_name: An alternate key, by which a later run finds the same registration.
    """

    name: str
    accounts: str = "AzureADMyOrg"
    api: bool = False
    roles: Sequence[str] = ()
    scopes: Sequence[str] = ()
    app_id_uri: str = ""
    unique_name: str = ""
    token_version: int = _V2
    uris: Mapping[str, Sequence[str]] | None = None
    public_client: bool = False


@dataclass(frozen=True, slots=True)
class Registered:
    """A registration and its service principal, and whether they were there before."""

    app: Row
    principal: Row
    reused: bool


def register(spec: AppSpec, new_guid: Callable[[], str]) -> Plan[Registered]:
    """Register an application, or reuse the one of the same unique name or App ID URI.

    Raises:
        CommandError: Several registrations match.
    """
    found = yield from _reusable(spec)
    if found is not None:
        app = yield from _completed(found, spec, new_guid)
        principal = yield from principal_of(str(app["appId"]))
        return Registered(app, principal, reused=True)
    app = yield from _created(spec, new_guid)
    principal = yield create_principal(str(app["appId"]))
    return Registered(app, principal, reused=False)


def _reusable(spec: AppSpec) -> Plan[Row | None]:
    by_name = (yield app_with_unique_name(spec.unique_name)) if spec.unique_name else None
    rows: list[Row] = (yield app_with_uri(spec.app_id_uri, [])) if spec.app_id_uri else []
    by_uri = only(rows, spec.app_id_uri)
    if by_name and by_uri and by_name["id"] != by_uri["id"]:
        raise CommandError(
            f"The unique name {spec.unique_name!r} and the App ID URI {escape(spec.app_id_uri)!r} are of two "
            "applications.",
            "several_matches",
            f"Use one of them: {by_name['appId']} or {by_uri['appId']}.",
        )
    return by_name or by_uri


def _created(spec: AppSpec, new_guid: Callable[[], str]) -> Plan[Row]:
    body = _new_body(spec, new_guid)
    ids = {"id": f"<object id of {spec.name}>", "appId": f"<client id of {spec.name}>"}
    assumed = assumed_app(**ids, **body, uniqueName=spec.unique_name or None)
    if spec.unique_name:
        path, headers = f"/applications(uniqueName='{spec.unique_name}')", {"Prefer": "create-if-missing"}
        app = yield GraphCall(
            "Create the registration, once for this unique name",
            "PATCH",
            path,
            body,
            headers=headers,
            assumed=assumed,
        )
    else:
        app = yield GraphCall("Create the registration", "POST", "/applications", body, assumed=assumed)
    if spec.api and not spec.app_id_uri:
        uris = [f"api://{app['appId']}"]
        yield change_app(app, "Set the App ID URI", {"identifierUris": uris}, settles=True)
        app = {**app, "identifierUris": uris}
    return app  # type: ignore[no-any-return]


def _new_body(spec: AppSpec, new_guid: Callable[[], str]) -> Row:
    body: Row = {"displayName": spec.name, "signInAudience": spec.accounts}
    if spec.app_id_uri:
        body["identifierUris"] = [spec.app_id_uri]
    if spec.api:
        scopes = [new_scope(value, new_guid()) for value in spec.scopes]
        body["api"] = {"requestedAccessTokenVersion": spec.token_version, "oauth2PermissionScopes": scopes}
    if spec.roles:
        body["appRoles"] = [new_role(value, new_guid()) for value in spec.roles]
    for platform, uris in (spec.uris or {}).items():
        if uris:
            body[PLATFORMS[platform]] = {"redirectUris": list(uris)}
    if spec.public_client:
        body["isFallbackPublicClient"] = True
    return body


def _completed(app: Row, spec: AppSpec, new_guid: Callable[[], str]) -> Plan[Row]:
    """Add what the existing registration lacks; change nothing else of it."""
    body: Row = {}
    roles = merged(roles_of(app), spec.roles, lambda value: new_role(value, new_guid()))
    scopes = merged(scopes_of(app), spec.scopes, lambda value: new_scope(value, new_guid()))
    if len(roles) > len(roles_of(app)):
        body["appRoles"] = roles
    if len(scopes) > len(scopes_of(app)):
        body["api"] = {"oauth2PermissionScopes": scopes}
    if spec.api and not app.get("identifierUris"):
        body["identifierUris"] = [spec.app_id_uri or f"api://{app['appId']}"]
    if body:
        yield change_app(app, "Add what the registration lacks", body)
    return _applied(app, body)


def _applied(app: Row, body: Row) -> Row:
    """Return the application with the changes of a PATCH, as Graph applies them."""
    changed: Row = {
        name: {**part(app, name), **part(body, name)} if isinstance(value, dict) else value
        for name, value in body.items()
    }
    return {**app, **changed}


def change_app(app: Row, purpose: str, body: Row, *, settles: bool = False) -> GraphCall:
    """Return the request that changes an application."""
    return GraphCall(purpose, "PATCH", f"/applications/{app['id']}", body, settles=settles)


@dataclass(frozen=True, slots=True)
class AppChange:
    """What `app update` changes. None and empty: leave it as it is."""

    name: str | None = None
    accounts: str | None = None
    token_version: int | None = None
    app_id_uri: str | None = None
    uris: Mapping[str, Sequence[str]] | None = None
    removed_uris: Sequence[str] = ()
    optional_claims: Sequence[str] = ()
    public_client: bool | None = None
    enabled: bool | None = None
    assignment_required: bool | None = None


def update(ref: str, change: AppChange, *, by_name: bool) -> Plan[Row]:
    """Change an application and its service principal.

    Raises:
        CommandError: There is no such application, or nothing to change.
    """
    app = yield from find_app(ref, by_name=by_name)
    body, of_principal = _changed_body(app, change), _principal_body(change)
    if not body and not of_principal:
        raise CommandError("There is nothing to change.", "nothing_to_do", "Name a change: see --help.")
    if body:
        yield change_app(app, "Change the registration", body)
    if of_principal:
        principal = yield from principal_of(str(app["appId"]))
        path = f"/servicePrincipals/{principal['id']}"
        yield GraphCall("Change the service principal", "PATCH", path, of_principal)
    return _applied(app, body)


def _changed_body(app: Row, change: AppChange) -> Row:
    named = {"displayName": change.name, "signInAudience": change.accounts}
    body: Row = {name: value for name, value in named.items() if value is not None}
    if change.public_client is not None:
        body["isFallbackPublicClient"] = change.public_client
    if change.token_version is not None:
        body["api"] = {"requestedAccessTokenVersion": change.token_version}
    if change.app_id_uri is not None:
        present = [uri for uri in app.get("identifierUris") or () if uri != change.app_id_uri]
        body["identifierUris"] = [change.app_id_uri, *present]
    if change.optional_claims:
        body["optionalClaims"] = _with_claims(app, change.optional_claims)
    return {**body, **_platforms(app, change)}


def _platforms(app: Row, change: AppChange) -> Row:
    body: Row = {}
    for platform, name in PLATFORMS.items():
        present = list(part(app, name).get("redirectUris") or ())
        wanted = list(dict.fromkeys([*present, *(change.uris or {}).get(platform, ())]))
        kept = [uri for uri in wanted if uri not in change.removed_uris]
        if kept != present:
            body[name] = {"redirectUris": kept}
    return body


def _with_claims(app: Row, names: Sequence[str]) -> Row:
    present: Row = part(app, "optionalClaims")
    listed: list[Row] = rows_in(present, "accessToken")
    known = {claim["name"] for claim in listed}
    added = [{"name": name, "essential": False} for name in names if name not in known]
    return {**present, "accessToken": [*listed, *added]}


def _principal_body(change: AppChange) -> Row:
    named = {"accountEnabled": change.enabled, "appRoleAssignmentRequired": change.assignment_required}
    return {name: value for name, value in named.items() if value is not None}


def delete(ref: str, *, by_name: bool) -> Plan[Row]:
    """Delete an application, after a question."""
    app = yield from find_app(ref, by_name=by_name)
    yield Question(f"Delete {escape(str(app['displayName']))} ({app['appId']}) with its credentials?")
    yield GraphCall("Delete the registration", "DELETE", f"/applications/{app['id']}")
    return app


def describe(ref: str, *, by_name: bool) -> Plan[Row]:
    """Return an application with its service principal, permissions, grants and federated credentials."""
    app = yield from find_app(ref, by_name=by_name)
    principal = yield existing_principal(str(app["appId"]))
    path = f"/applications/{app['id']}/federatedIdentityCredentials"
    federated = yield GraphCall("List the federated credentials", "GET", path, assumed=[], pages=True)
    apis: dict[str, Any] = {}
    for access in rows_in(app, "requiredResourceAccess"):
        apis[access["resourceAppId"]] = yield existing_principal(access["resourceAppId"])
    held = yield from _held(principal)
    return {
        **app,
        "servicePrincipal": principal,
        "federatedIdentityCredentials": federated,
        "apis": apis,
        **held,
    }


def _held(principal: Row | None) -> Plan[Row]:
    if principal is None:
        return {"appRoleAssignments": [], "oauth2PermissionGrants": []}
    path = f"/servicePrincipals/{principal['id']}"
    roles = yield GraphCall(
        "List the granted app roles", "GET", f"{path}/appRoleAssignments", assumed=[], pages=True
    )
    scopes = yield GraphCall(
        "List the granted scopes", "GET", f"{path}/oauth2PermissionGrants", assumed=[], pages=True
    )
    return {"appRoleAssignments": roles, "oauth2PermissionGrants": scopes}


def list_apps() -> Plan[list[Row]]:
    """Return all applications of the tenant."""
    rows = yield GraphCall("List the applications", "GET", "/applications", assumed=[], pages=True)
    return list(rows)
