"""Which function responds to which method and path, and the authority's public documents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from entra_guard.emulator._directory.managed_identities import APP_SERVICE_PATH, ARC_PATH, IMDS_PATH
from entra_guard.emulator._graph.paths import PREFIX as GRAPH_PREFIX
from entra_guard.emulator._graph.paths import USER_INFO
from entra_guard.emulator._http.messages import (
    Request,
    Response,
    TooManyFieldsError,
    json_response,
    split_url,
)
from entra_guard.emulator._http.routing import path_pattern
from entra_guard.emulator._oauth.admin_consent import admin_consent
from entra_guard.emulator._oauth.authorize import authorize
from entra_guard.emulator._oauth.cors import preflight_response, with_cors
from entra_guard.emulator._oauth.device import device_code_response, device_page
from entra_guard.emulator._oauth.documents import (
    KNOWN_HOSTS,
    TEMPLATE,
    AuthorityPath,
    authorization_server_metadata,
    configuration_v1,
    configuration_v2,
    instance_discovery,
    keys_v1,
    keys_v2,
)
from entra_guard.emulator._oauth.error_page import error_page
from entra_guard.emulator._oauth.errors import EntraError, error_response
from entra_guard.emulator._oauth.managed_identity import app_service_response, arc_response, imds_response
from entra_guard.emulator._oauth.sign_out import sign_out
from entra_guard.emulator._oauth.token_endpoint import token_response
from entra_guard.emulator._store.entries import CONSUMERS
from entra_guard.emulator._tokens.workloads import PATH as WORKLOADS
from entra_guard.emulator._tokens.workloads import workload_configuration, workload_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._store.signing_keys import SigningKey
    from entra_guard.emulator._store.store import Store

Target = Literal[
    "configuration",
    "keys",
    "instance",
    "token",
    "authorize",
    "graph",
    "identity",
    "pages",
    "control",
    "nothing",
]
Found = re.Match[str]
ANY: Final = "*"
_PUBLIC: Final = "max-age=86400, private"
_STRICT_TRANSPORT: Final = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
_GET_OR_POST: Final = ("GET", "POST")
_LONGEST_CODE: Final = 10
_VERSIONS: Final = ("", "/v2.0")


@dataclass(frozen=True, slots=True)
class Route:
    """The function for a method and a path template. `target` is what faults and counts refer to."""

    method: str
    path: str
    target: Target
    handle: Callable[[DirectoryService, Request, Found], Response]

    def match(self, method: str, path: str) -> Found | None:
        return path_pattern(self.path).fullmatch(path) if self.method in {method, ANY} else None


def find_route(request: Request) -> tuple[Route, Found] | None:
    """Return the route of a request and the match of its path."""
    method = "GET" if request.method == "HEAD" else request.method
    matches = ((route, route.match(method, request.path)) for route in ROUTES)
    return next(((route, found) for route, found in matches if found), None)


def respond(service: DirectoryService, request: Request) -> Response:
    """Respond to a request. Never raises, whatever a client sends."""
    if not service.store.is_own(request.host):
        return json_response(
            {"error": "The emulator serves this machine only: use 127.0.0.1 or localhost as host."}, 421
        )
    found = find_route(request)
    if found is None:
        return json_response({"error": f"The emulator has no endpoint {request.method} {request.path}."}, 404)
    route, path = found
    try:
        response = route.handle(service, request, path)
    except EntraError as error:
        response = error_response(service.store, request, error)
    except TooManyFieldsError as error:
        response = json_response({"error": str(error)}, 400)
    return with_cors(
        service.store, request, route.target, _with_common_headers(service, route, request, response)
    )


def _with_common_headers(
    service: DirectoryService, route: Route, request: Request, response: Response
) -> Response:
    """Add the headers that Entra's responses have; Graph's have their own request id."""
    cached = [("Cache-Control", _PUBLIC)] if route.target in {"configuration", "keys"} else []
    identifier = [] if route.target == "graph" else [("x-ms-request-id", service.store.ids.guid())]
    # Only for an address, where browsers ignore it. They would apply it to every port of a name, for a year.
    is_address = request.host.startswith(("127.0.0.1", "[::1]"))
    secure = [_STRICT_TRANSPORT] if request.scheme == "https" and is_address else []
    names = {name.lower() for name, _ in response.headers}
    return response.with_headers(*identifier, *secure, *(h for h in cached if h[0].lower() not in names))


def authority_path(store: Store, request: Request, segment: str) -> AuthorityPath:
    """Return the authority that a URL's first segment names.

    Raises:
        EntraError: There is no tenant of that name.
    """
    if segment in {"common", "organizations"}:
        return AuthorityPath(request.base, segment, TEMPLATE)
    if segment == "consumers":
        return AuthorityPath(request.base, segment, CONSUMERS)
    tenant = store.directory.tenant(segment)
    if tenant is None:
        raise EntraError(90002, error="invalid_tenant", tenant=segment)
    return AuthorityPath(request.base, tenant.id, tenant.id, tenant.region)


def _segment(found: Found) -> str:
    """Return the tenant or alias in the path; letter case does not matter."""
    return found["tenant"].lower()


def _configuration_v2(service: DirectoryService, request: Request, found: Found) -> Response:
    at = authority_path(service.store, request, _segment(found))
    return json_response(configuration_v2(at, request.parameters().get("appid")))


def _mcp_metadata(service: DirectoryService, request: Request, found: Found) -> Response:
    if not service.store.serves_mcp_metadata:
        words = "Entra has no RFC 8414 metadata. Start the emulator with --mcp to serve it."
        return json_response({"error": words}, 404)
    at = authority_path(service.store, request, _segment(found))
    return json_response(authorization_server_metadata(at))


def _configuration_v1(service: DirectoryService, request: Request, found: Found) -> Response:
    at = authority_path(service.store, request, _segment(found))
    return json_response(configuration_v1(at, request.parameters().get("appid")))


def _keys_v2(service: DirectoryService, request: Request, found: Found) -> Response:
    at = authority_path(service.store, request, _segment(found))
    return json_response(keys_v2(at, _published_keys(service.store, request, at)))


def _keys_v1(service: DirectoryService, request: Request, found: Found) -> Response:
    at = authority_path(service.store, request, _segment(found))
    return json_response(keys_v1(_published_keys(service.store, request, at)))


def _published_keys(store: Store, request: Request, at: AuthorityPath) -> list[SigningKey]:
    """Return the keys of a document: all, one app's own key, or those of personal accounts."""
    keys = store.state.keys
    own = keys.apps.get(request.parameters().get("appid", "").lower())
    if own is not None:
        return [own]
    return [k for k in keys.published() if at.tenant_id != CONSUMERS or k.realm == "consumers"]


def _instance(service: DirectoryService, request: Request, _found: Found) -> Response:
    endpoint = split_url(request.parameters().get("authorization_endpoint", ""))
    if not (service.store.is_own(endpoint.netloc) or endpoint.hostname in KNOWN_HOSTS):
        raise EntraError(50049)
    segment = endpoint.path.strip("/").split("/")[0] or "common"
    return json_response(instance_discovery(request.base, segment))


def _user_realm(_service: DirectoryService, _request: Request, found: Found) -> Response:
    return json_response(
        {
            "ver": "1.0",
            "account_type": "Managed",
            "domain_name": found["upn"].rpartition("@")[2],
            "cloud_instance_name": "microsoftonline.com",
            "cloud_audience_urn": "urn:federation:MicrosoftOnline",
        }
    )


def _token_v2(service: DirectoryService, request: Request, found: Found) -> Response:
    return token_response(service.store, request, _segment(found), 2)


def _token_get(_service: DirectoryService, _request: Request, _found: Found) -> Response:
    raise EntraError(900561, value="POST")


def _token_v1(service: DirectoryService, request: Request, found: Found) -> Response:
    return token_response(service.store, request, _segment(found), 1)


def _device_code(service: DirectoryService, request: Request, found: Found) -> Response:
    return device_code_response(service, request, _segment(found))


def _preflight(service: DirectoryService, request: Request, _found: Found) -> Response:
    return preflight_response(service.store, request)


def _sign_out(service: DirectoryService, request: Request, _found: Found) -> Response:
    return sign_out(service.store, request)


def _graph(service: DirectoryService, request: Request, _found: Found) -> Response:
    # The emulator starts without it.
    from entra_guard.emulator._graph.endpoints import graph_response  # noqa: PLC0415

    return graph_response(service, request)


def _with_error_page(
    handle: Callable[[DirectoryService, Request, Found], Response],
) -> Callable[[DirectoryService, Request, Found], Response]:
    """Make a function show errors as a page, for endpoints that users open in a browser."""

    def handle_with_page(service: DirectoryService, request: Request, found: Found) -> Response:
        try:
            return handle(service, request, found)
        except EntraError as error:
            return error_page(service.store, request, error)

    return handle_with_page


@_with_error_page
def _authorize(service: DirectoryService, request: Request, found: Found) -> Response:
    return authorize(service, request, _segment(found))


@_with_error_page
def _admin_consent_v1(service: DirectoryService, request: Request, found: Found) -> Response:
    return admin_consent(service, request, _segment(found), 1)


@_with_error_page
def _admin_consent_v2(service: DirectoryService, request: Request, found: Found) -> Response:
    return admin_consent(service, request, _segment(found), 2)


@_with_error_page
def _device_page(service: DirectoryService, request: Request, _found: Found) -> Response:
    return device_page(service, request)


def _about_error(_service: DirectoryService, request: Request, _found: Found) -> Response:
    """Redirect an `error_uri` to the portal's card of the code."""
    code = request.parameters().get("code", "")
    known = f"/AADSTS{int(code)}" if code.isascii() and code.isdecimal() and len(code) < _LONGEST_CODE else ""
    return Response(302, b"", (("Location", f"/portal/errors{known}"),))


ROUTES: Final = (
    Route(ANY, f"{GRAPH_PREFIX}/{{rest:path}}", "graph", _graph),
    Route(ANY, USER_INFO, "graph", _graph),
    Route(
        "GET",
        f"{WORKLOADS}/.well-known/openid-configuration",
        "identity",
        lambda _s, request, _f: json_response(workload_configuration(request.base)),
    ),
    Route("GET", f"{WORKLOADS}/keys", "identity", lambda _s, _r, _f: json_response(workload_keys())),
    *(
        Route("GET", path, "identity", lambda s, request, _: imds_response(s.store, request))
        for path in (IMDS_PATH, f"{IMDS_PATH}/")
    ),
    Route("GET", APP_SERVICE_PATH, "identity", lambda s, request, _: app_service_response(s.store, request)),
    Route("GET", ARC_PATH, "identity", lambda s, request, _: arc_response(s.store, request)),
    Route("GET", "/.well-known/oauth-authorization-server/{tenant}/v2.0", "configuration", _mcp_metadata),
    Route("GET", "/{tenant}/v2.0/.well-known/openid-configuration", "configuration", _configuration_v2),
    Route("GET", "/{tenant}/.well-known/openid-configuration", "configuration", _configuration_v1),
    Route("GET", "/{tenant}/discovery/v2.0/keys", "keys", _keys_v2),
    Route("GET", "/{tenant}/discovery/keys", "keys", _keys_v1),
    Route("GET", "/{tenant}/discovery/instance", "instance", _instance),
    Route("GET", "/{tenant}/UserRealm/{upn}", "instance", _user_realm),
    Route("POST", "/{tenant}/oauth2/v2.0/token", "token", _token_v2),
    Route("POST", "/{tenant}/oauth2/token", "token", _token_v1),
    *(Route("GET", f"/{{tenant}}/oauth2{version}/token", "token", _token_get) for version in _VERSIONS),
    *(
        Route(method, f"/{{tenant}}/oauth2{version}/authorize", "authorize", _authorize)
        for method in _GET_OR_POST
        for version in _VERSIONS
    ),
    *(Route("POST", f"/{{tenant}}/oauth2{v}/devicecode", "token", _device_code) for v in _VERSIONS),
    *(Route("OPTIONS", f"/{{tenant}}/oauth2{v}/token", "token", _preflight) for v in _VERSIONS),
    *(Route("GET", f"/{{tenant}}/oauth2{v}/logout", "pages", _sign_out) for v in _VERSIONS),
    *(Route(method, "/{tenant}/adminconsent", "pages", _admin_consent_v1) for method in _GET_OR_POST),
    *(Route(method, "/{tenant}/v2.0/adminconsent", "pages", _admin_consent_v2) for method in _GET_OR_POST),
    *(Route(method, "/devicelogin", "pages", _device_page) for method in _GET_OR_POST),
    Route("GET", "/error", "pages", _about_error),
)
