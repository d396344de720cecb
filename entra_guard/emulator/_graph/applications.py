"""Graph's applications: registrations, their secrets, certificates and federated credentials."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from entra_guard.emulator._directory.rules import EnabledPermissionError, RegistrationError, check_removed
from entra_guard.emulator._graph.errors import GraphRequestError, bad_request, missing
from entra_guard.emulator._graph.objects import (
    application_row,
    certificate_row,
    federated_row,
    parse_graph_time,
    secret_row,
)
from entra_guard.emulator._graph.odata import (
    Created,
    PlainText,
    Row,
    collection,
    count,
    entity,
    list_in,
    object_in,
)
from entra_guard.emulator._oauth.assertions import check_proof
from entra_guard.emulator._store.entries import (
    AppRegistration,
    AppRole,
    AuthorizedClient,
    RequiredAccess,
    RequiredPermission,
    Scope,
)
from entra_guard.emulator._store.ids import is_guid
from entra_guard.emulator._store.permissions import offered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from entra_guard.emulator._graph.access import Call
    from entra_guard.emulator._store.entries import FederatedCredential

Found = re.Match[str]
READ: Final = (
    "Application.Read.All",
    "Application.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
)
WRITE: Final = ("Application.ReadWrite.All", "Application.ReadWrite.OwnedBy")
TWO_YEARS: Final = 2 * 365 * 24 * 3600.0
# Graph's names for Python's, in error messages.
_GRAPH_NAMES: Final = {
    "token_version": "api.requestedAccessTokenVersion",
    "accounts": "signInAudience",
    "app_roles": "appRoles",
    "allowed_member_types": "allowedMemberTypes",
    "identifier_uris": "identifierUris",
    "unique_name": "uniqueName",
}
_PYTHON_NAME: Final = re.compile(rf"\b({'|'.join(_GRAPH_NAMES)})(?=[=.,: ])")
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "displayName": str,
    "signInAudience": str,
    "identifierUris": list,
    "appRoles": list,
    "isFallbackPublicClient": (bool, type(None)),
    "groupMembershipClaims": (str, type(None)),
}
_CHANGEABLE: Final = (
    *("name", "accounts", "identifier_uris", "app_roles", "scopes", "token_version", "redirect_uris"),
    *("spa_redirect_uris", "public_redirect_uris", "public_client", "optional_claims", "group_claims"),
    *("required", "authorized_clients"),
)


def applications(call: Call, _found: Found) -> Any:
    directory = call.store.directory
    own = [app for app in directory.apps.values() if app.tenant_id == call.tenant.id]
    return collection(call.request, "applications", [application_row(directory, app) for app in own])


def application(call: Call, found: Found) -> Any:
    return entity(call.request, "applications", application_row(call.store.directory, _find_app(call, found)))


def applications_count(call: Call, _found: Found) -> PlainText:
    directory = call.store.directory
    own = [app for app in directory.apps.values() if app.tenant_id == call.tenant.id]
    return count(call.request, "applications", [application_row(directory, app) for app in own])


def create(call: Call, _found: Found) -> Any:
    """Create a registration. Its service principal is created by a separate request."""
    return _create(call, call.body(), None)


def _create(call: Call, body: Row, unique_name: str | None) -> Any:
    if not body.get("displayName"):
        raise bad_request("A value is required for property 'displayName' of resource 'Application'.")
    if "uniqueName" in body:
        raise bad_request(
            "Property 'uniqueName' is read-only: PATCH /applications(uniqueName='...') sets it."
        )
    ids = call.store.ids
    blank = AppRegistration(
        ids.guid(), ids.guid(), call.tenant.id, "", created=call.store.now(), unique_name=unique_name
    )
    app = _as_graph_error(lambda: call.service.registrations.add_app(parse_application(call, body, blank)))
    return entity(call.request, "applications", application_row(call.store.directory, app))


def create_or_change(call: Call, found: Found) -> Any:
    """Change the application of a unique name; create it if the request prefers that."""
    own = (a for a in call.store.directory.apps.values() if a.tenant_id == call.tenant.id)
    present = any(app.unique_name == found["id"] for app in own)
    if present or (call.request.header("prefer") or "").lower() != "create-if-missing":
        change(call, found)
        return None
    return Created(_create(call, call.body(), found["id"]))


def change(call: Call, found: Found) -> None:
    change_application(call, _find_app(call, found), call.body())


def change_application(call: Call, app: AppRegistration, body: Row) -> None:
    """Change a registration to what the JSON says.

    Raises:
        GraphRequestError: The JSON is malformed, or Entra would refuse the change.
    """
    changed = parse_application(call, body, app)
    try:
        check_removed(app, changed)
    except EnabledPermissionError as error:
        raise GraphRequestError(400, "CannotDeleteOrUpdateEnabledEntitlement", str(error)) from None
    changes = {name: getattr(changed, name) for name in _CHANGEABLE}
    _as_graph_error(lambda: call.service.registrations.update_app(app, **changes))
    if "keyCredentials" in body:
        _set_certificates(call, app, list_in(body, "keyCredentials"))


def delete(call: Call, found: Found) -> None:
    call.service.registrations.remove_app(_find_app(call, found))


def add_password(call: Call, found: Found) -> Any:
    """Add a secret. Only this response has its value."""
    app, wanted = _find_app(call, found), object_in(call.body(), "passwordCredential")
    ends = wanted.get("endDateTime")
    lifetime = _parse_time(ends) - call.store.now() if ends else TWO_YEARS
    name = str(wanted.get("displayName") or "")
    add = call.service.credentials.add_secret
    secret = _as_graph_error(lambda: add(app, description=name, expires_in=lifetime))
    stored = call.store.directory.credentials_of(app.client_id).secrets[-1]
    context = f"{call.request.base}/v1.0/$metadata#microsoft.graph.passwordCredential"
    return {"@odata.context": context, **secret_row(stored, secret.value)}


def remove_password(call: Call, found: Found) -> None:
    app, key_id = _find_app(call, found), str(call.body().get("keyId"))
    _as_graph_error(lambda: call.service.credentials.remove_secret(app, key_id))


def add_key(call: Call, found: Found) -> Any:
    """Add a certificate. A proof by an existing certificate is required."""
    app, body = _find_app(call, found), call.body()
    _check_proof(call, app, body)
    key = object_in(body, "keyCredential")
    return certificate_row(_as_graph_error(lambda: _add_certificate(call, app, key)))


def remove_key(call: Call, found: Found) -> None:
    app, body = _find_app(call, found), call.body()
    _check_proof(call, app, body)
    _as_graph_error(lambda: call.service.credentials.remove_certificate(app, str(body.get("keyId"))))


def _check_proof(call: Call, app: AppRegistration, body: Mapping[str, Any]) -> None:
    if not check_proof(call.store, app, str(body.get("proof") or "")):
        raise GraphRequestError(401, "Authentication_MissingOrMalformed", "Invalid proof of possession.")


def _set_certificates(call: Call, app: AppRegistration, wanted: Sequence[Any]) -> None:
    held = call.store.directory.credentials_of(app.client_id)
    if not all(isinstance(row, dict) for row in wanted):
        raise bad_request("keyCredentials is a list of objects.")
    kept = {str(row.get("keyId")) for row in wanted if not row.get("key")}
    certificates = tuple(c for c in held.certificates if c.key_id in kept)
    call.service.credentials.set_credentials(app, replace(held, certificates=certificates))
    for row in wanted:
        if row.get("key"):
            _as_graph_error(lambda row=row: _add_certificate(call, app, row))


def _add_certificate(call: Call, app: AppRegistration, row: Mapping[str, Any]) -> Any:
    der = base64.b64decode(str(row.get("key") or ""))
    return call.service.credentials.add_certificate(app, der, description=str(row.get("displayName") or ""))


def federated(call: Call, found: Found) -> Any:
    rows = [federated_row(c) for c in _federated_of(call, _find_app(call, found))]
    return collection(call.request, f"applications('{found['id']}')/federatedIdentityCredentials", rows)


def _federated_of(call: Call, app: AppRegistration) -> tuple[FederatedCredential, ...]:
    return call.store.directory.credentials_of(app.client_id).federated


def add_federated(call: Call, found: Found) -> Any:
    app, body = _find_app(call, found), call.body()
    issuer, subject, name, description = (
        str(body.get(part) or "") for part in ("issuer", "subject", "name", "description")
    )
    audiences = list_in(body, "audiences")
    if len(audiences) != 1:
        raise bad_request("A federated identity credential has exactly one audience.")
    add, audience = call.service.credentials.add_federated_credential, str(audiences[0])
    added = _as_graph_error(lambda: add(app, issuer, subject, audience, name=name, description=description))
    return entity(call.request, "federatedIdentityCredentials", federated_row(added))


def remove_federated(call: Call, found: Found) -> None:
    app = _find_app(call, found)
    held = call.store.directory.credentials_of(app.client_id)
    kept = tuple(c for c in held.federated if found["credential"] not in {c.id, c.name})
    if len(kept) == len(held.federated):
        raise missing(found["credential"])
    call.service.credentials.set_credentials(app, replace(held, federated=kept))


def _find_app(call: Call, found: Found) -> AppRegistration:
    """Return the application of the path, by object id, client id or unique name."""
    identifier, path = found["id"], found.string.lower()
    own = (app for app in call.store.directory.apps.values() if app.tenant_id == call.tenant.id)
    if "(uniquename=" in path:
        app = next((a for a in own if a.unique_name == identifier), None)
    else:
        by_client_id, wanted = "(appid=" in path, identifier.lower()
        app = next((a for a in own if wanted == (a.client_id if by_client_id else a.object_id)), None)
    if app is None:
        raise missing(identifier)
    return app


def _as_graph_error(act: Any) -> Any:
    """Call a function, and convert its errors to Graph's."""
    try:
        return act()
    except (RegistrationError, LookupError, ValueError, TypeError) as error:
        raise bad_request(with_graph_names(error)) from None


def with_graph_names(error: Exception) -> str:
    """Return an error's text with Graph's names in place of Python's."""
    text = str(error.args[0] if error.args else error)
    return _PYTHON_NAME.sub(lambda found: _GRAPH_NAMES[found[0]], text)


def _parse_time(text: Any) -> float:
    try:
        return parse_graph_time(str(text))
    except ValueError:
        raise bad_request(f"'{text}' is not a date and time.") from None


def parse_application(call: Call, body: Row, app: AppRegistration) -> AppRegistration:
    """Return the registration with the changes in the JSON. Members that are missing stay as they are.

    Raises:
        GraphRequestError: The JSON is malformed.
    """
    wrong = next((n for n, types in _TYPES.items() if n in body and not isinstance(body[n], types)), None)
    if wrong is not None:
        raise bad_request(f"Invalid value specified for property '{wrong}' of resource 'Application'.")
    try:
        return _parse(call, body, app)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise bad_request("The application is malformed: compare it with Graph's reference.") from None


def _parse(call: Call, body: Row, app: AppRegistration) -> AppRegistration:
    api, web, spa, public = (object_in(body, name) for name in ("api", "web", "spa", "publicClient"))
    claims: list[Row] | None = object_in(body, "optionalClaims").get("accessToken")
    access: list[Row] | None = body.get("requiredResourceAccess")
    return replace(
        app,
        name=body.get("displayName", app.name),
        accounts=body.get("signInAudience", app.accounts),
        identifier_uris=_string_tuple(body.get("identifierUris", app.identifier_uris)),
        app_roles=tuple(map(_parse_role, body["appRoles"])) if "appRoles" in body else app.app_roles,
        scopes=tuple(map(_parse_scope, api["oauth2PermissionScopes"]))
        if "oauth2PermissionScopes" in api
        else app.scopes,
        token_version=api.get("requestedAccessTokenVersion", app.token_version),
        redirect_uris=_string_tuple(web.get("redirectUris", app.redirect_uris)),
        spa_redirect_uris=_string_tuple(spa.get("redirectUris", app.spa_redirect_uris)),
        public_redirect_uris=_string_tuple(public.get("redirectUris", app.public_redirect_uris)),
        public_client=bool(body.get("isFallbackPublicClient", app.public_client)),
        optional_claims=app.optional_claims
        if claims is None
        else _string_tuple(claim["name"] for claim in claims),
        group_claims=bool(body["groupMembershipClaims"])
        if "groupMembershipClaims" in body
        else app.group_claims,
        required=app.required if access is None else tuple(_parse_required(call, row, app) for row in access),
        authorized_clients=tuple(map(_parse_authorized, api["preAuthorizedApplications"]))
        if "preAuthorizedApplications" in api
        else app.authorized_clients,
    )


def _parse_authorized(row: Row) -> AuthorizedClient:
    return AuthorizedClient(str(row["appId"]), _string_tuple(row["delegatedPermissionIds"]))


def _string_tuple(values: Any) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError("a collection is expected, and one string is not one")
    return tuple(map(str, values))


def _parse_role(row: Row) -> AppRole:
    members = tuple(row["allowedMemberTypes"])
    name, words = str(row.get("displayName") or ""), str(row.get("description") or "")
    return AppRole(
        _parse_guid(row["id"]), str(row["value"]), members, name, words, bool(row.get("isEnabled", True))
    )


def _parse_scope(row: Row) -> Scope:
    kind: Literal["User", "Admin"] = "Admin" if row.get("type") == "Admin" else "User"
    words = str(row.get("adminConsentDisplayName") or "")
    return Scope(_parse_guid(row["id"]), str(row["value"]), kind, words, bool(row.get("isEnabled", True)))


def _parse_required(call: Call, row: Row, app: AppRegistration) -> RequiredAccess:
    """Return the permissions of one API. One that the app has already may have disappeared from its API.

    Raises:
        GraphRequestError: The API or a permission is unknown.
    """
    api_id = str(row["resourceAppId"])
    api = call.store.directory.apps.get(api_id)
    held = {p for access in app.required if access.api_id == api_id for p in access.permissions}
    if api is None and not held:
        raise bad_request(f"requiredResourceAccess: there is no API '{api_id}'.")
    known = {*(offered(api) if api else ()), *held}
    wanted = tuple(dict.fromkeys(_parse_permission(access) for access in row["resourceAccess"]))
    for permission in wanted:
        if permission not in known:
            owner, kind = api.name if api else api_id, permission.type
            raise bad_request(
                f"requiredResourceAccess: {owner} has no permission '{permission.id}' of type {kind}."
            )
    return RequiredAccess(api_id, wanted)


def _parse_permission(row: Row) -> RequiredPermission:
    kind = row.get("type")
    if kind not in {"Role", "Scope"}:
        raise bad_request(f"requiredResourceAccess: type '{kind}' is not valid: use Role or Scope.")
    return RequiredPermission(_parse_guid(row["id"]), kind)


def _parse_guid(value: Any) -> str:
    """Return a GUID in lower case, as the directory stores it.

    Raises:
        GraphRequestError: The value is not a GUID.
    """
    if not isinstance(value, str):
        raise bad_request("Cannot convert a primitive value to the expected type 'Edm.Guid'.")
    if not is_guid(value):
        raise bad_request(f"Cannot convert the literal '{value}' to the expected type 'Edm.Guid'.")
    return value.lower()
