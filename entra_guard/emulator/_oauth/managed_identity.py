"""The endpoints by which code on Azure gets tokens without a secret: virtual machine, App Service, Arc.

All numbers in the answers are texts. Container Apps speak App Service's dialect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.messages import Request, Response, json_response
from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._oauth.app_grants import in_strings, lifetimes
from entra_guard.emulator._oauth.token_request import client_capabilities
from entra_guard.emulator._store.directory import AppRegistration, ManagedIdentity
from entra_guard.emulator._tokens.spec import TokenParties, audience_of, build_spec, signed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._store.store import Store

IMDS_PATH: Final = "/metadata/identity/oauth2/token"
APP_SERVICE_PATH: Final = "/msi/token"
ARC_PATH: Final = "/arc/metadata/identity/oauth2/token"
LIFETIME: Final = 24 * 3600
_NAMES: Final = ("client_id", "object_id", "principal_id", "msi_res_id", "mi_res_id")


def virtual_machine(store: Store, request: Request) -> Response:
    """The instance metadata service: `Metadata: true`, `api-version`, `resource`, and which identity."""
    if request.header("metadata") != "true":
        return _refused("Required metadata header not specified or not correct")
    query = request.parameters()
    if not query.get("api-version"):
        return _refused("Required query variable 'api-version' is missing")
    return _answer(store, request, query, "Identity not found")


def app_service(store: Store, request: Request) -> Response:
    """App Service and Container Apps: the header's value proves that the caller runs there."""
    if request.header("x-identity-header") != store.state.identity_header:
        return json_response({"statusCode": 401, "message": "X-IDENTITY-HEADER is missing or wrong."}, 401)
    return _answer(
        store, request, request.parameters(), "No User Assigned or Delegated Managed Identity found"
    )


def arc(store: Store, request: Request) -> Response:
    """Azure Arc: a first request is told the name of a file, a second one proves it can be read."""
    key = store.state.arc_key
    if key is None:
        return _refused('There is no key file: managed_identity_environment("arc", folder=...) makes it.')
    if request.header("metadata") != "true":
        return _refused("Required metadata header not specified or not correct")
    if request.header("authorization") == f"Basic {key.secret}":
        return _answer(store, request, request.parameters(), "Identity not found")
    problem = {"error": "unauthorized_client", "error_description": "Missing Basic Authorization header"}
    return json_response(problem, 401, ("WWW-Authenticate", f"Basic realm={key.path}"))


def _refused(words: str, error: str = "invalid_request") -> Response:
    return json_response({"error": error, "error_description": words}, 400)


def _answer(store: Store, request: Request, query: Mapping[str, str], missing: str) -> Response:
    name = query.get("resource", "")
    identity = _find(store, query)
    if identity is None:
        return _refused(missing)
    tenant = store.directory.tenants[identity.tenant_id]
    api = store.directory.resource(name, tenant.id)
    if not name or api is None:
        problem = EntraError(500011, resource=name, tenant=tenant.name)
        return _refused(str(problem), problem.error)
    client = AppRegistration(identity.client_id, "", tenant.id, identity.name)
    capabilities = _capabilities(query)
    parties = TokenParties(request.base, tenant, client, api, audience_of(api, name), "2", None, capabilities)
    spec = build_spec(store, parties, lifetime=LIFETIME, identity=identity.resource_path)
    answer: dict[str, Any] = {**lifetimes(spec), "access_token": signed(store, spec)}
    return json_response({**in_strings(answer, spec, name), "client_id": identity.client_id})


def _capabilities(query: Mapping[str, str]) -> tuple[str, ...]:
    """Managed identity clients write their capabilities as `xms_cc`, separated by commas."""
    listed = tuple(word for word in query.get("xms_cc", "").split(",") if word)
    return listed or client_capabilities(query.get("claims", ""))


def _find(store: Store, query: Mapping[str, str]) -> ManagedIdentity | None:
    """The identity a request names, or the system-assigned one, or else the only one."""
    identities = tuple(store.directory.identities.values())
    wanted = next((query[name] for name in _NAMES if query.get(name)), None)
    if wanted is None:
        system = [i for i in identities if i.system_assigned]
        candidates = system or (list(identities) if len(identities) == 1 else [])
        return next(iter(candidates), None)
    return next((i for i in identities if wanted in {i.client_id, i.principal_id, i.resource_path}), None)
