"""Managed identity endpoints: virtual machine (IMDS), App Service and Container Apps, Azure Arc.

Numbers in their responses are strings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.messages import Request, Response, json_response
from entra_guard.emulator._http.trail import note_api, note_client
from entra_guard.emulator._oauth.app_grants import lifetimes, with_string_values
from entra_guard.emulator._oauth.errors import EntraError
from entra_guard.emulator._oauth.token_request import client_capabilities
from entra_guard.emulator._store.entries import AppRegistration, ManagedIdentity
from entra_guard.emulator._tokens.spec import TokenParties, audience_of, build_spec, sign_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._store.store import Store

LIFETIME: Final = 24 * 3600
_ID_PARAMETERS: Final = ("client_id", "object_id", "principal_id", "msi_res_id", "mi_res_id")
_NO_METADATA_HEADER: Final = "Required metadata header not specified or not correct"


def imds_response(store: Store, request: Request) -> Response:
    """Respond as a virtual machine's metadata service."""
    if request.header("metadata") != "true":
        return _bad_request(_NO_METADATA_HEADER)
    query = request.parameters()
    if not query.get("api-version"):
        return _bad_request("Required query variable 'api-version' is missing")
    return _token_response(store, request, query, "Identity not found")


def app_service_response(store: Store, request: Request) -> Response:
    """Respond as App Service and Container Apps: a secret header value proves that the caller runs there."""
    if request.header("x-identity-header") != store.state.identity_header:
        return json_response({"statusCode": 401, "message": "X-IDENTITY-HEADER is missing or wrong."}, 401)
    missing = "No User Assigned or Delegated Managed Identity found"
    return _token_response(store, request, request.parameters(), missing)


def arc_response(store: Store, request: Request) -> Response:
    """Respond as Azure Arc: the first response names a file, the second request proves it can be read."""
    key = store.state.arc_key
    if key is None:
        return _bad_request('There is no key file: call managed_identity_environment("arc", folder=...).')
    if request.header("metadata") != "true":
        return _bad_request(_NO_METADATA_HEADER)
    if request.header("authorization") == f"Basic {key.secret}":
        return _token_response(store, request, request.parameters(), "Identity not found")
    content = {"error": "unauthorized_client", "error_description": "Missing Basic Authorization header"}
    return json_response(content, 401, ("WWW-Authenticate", f"Basic realm={key.path}"))


def _bad_request(description: str, error: str = "invalid_request") -> Response:
    return json_response({"error": error, "error_description": description}, 400)


def _token_response(store: Store, request: Request, query: Mapping[str, str], missing: str) -> Response:
    resource = query.get("resource", "")
    identity = _find_identity(store, query)
    if identity is None:
        return _bad_request(missing)
    note_client(identity.client_id, identity.name)
    tenant = store.directory.tenants[identity.tenant_id]
    api = store.directory.resource(resource, tenant.id)
    if not resource or api is None:
        error = EntraError(500011, resource=resource, tenant=tenant.name)
        return _bad_request(str(error), error.error)
    note_api(api.name)
    client = AppRegistration(identity.client_id, "", tenant.id, identity.name)
    audience, capabilities = audience_of(api, resource), _capabilities(query)
    parties = TokenParties(request.base, tenant, client, api, audience, "2", None, capabilities)
    spec = build_spec(store, parties, lifetime=LIFETIME, identity=identity.resource_path)
    content: dict[str, Any] = {**lifetimes(spec), "access_token": sign_spec(store, spec)}
    return json_response({**with_string_values(content, spec, resource), "client_id": identity.client_id})


def _capabilities(query: Mapping[str, str]) -> tuple[str, ...]:
    """Return the client's capabilities, which it sends as `xms_cc`, separated by commas."""
    listed = tuple(word for word in query.get("xms_cc", "").split(",") if word)
    return listed or client_capabilities(query.get("claims", ""))


def _find_identity(store: Store, query: Mapping[str, str]) -> ManagedIdentity | None:
    """Return the identity that the request names; otherwise the system-assigned one, or the only one."""
    identities = tuple(store.directory.identities.values())
    wanted = next((query[name] for name in _ID_PARAMETERS if query.get(name)), None)
    if wanted is None:
        system = [i for i in identities if i.system_assigned]
        candidates = system or (list(identities) if len(identities) == 1 else [])
        return next(iter(candidates), None)
    return next((i for i in identities if wanted in {i.client_id, i.principal_id, i.resource_path}), None)
