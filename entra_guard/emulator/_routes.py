"""The protocol core: one pure-looking function from request to response, and the table of what is where.

It knows the directory and the clock through the `Store`, and neither sockets nor frameworks nor faults.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from entra_guard.emulator._graph.endpoints import graph
from entra_guard.emulator._http.messages import (
    Request,
    Response,
    TooManyFieldsError,
    is_loopback,
    json_response,
    split_url,
)
from entra_guard.emulator._http.paths import path_pattern
from entra_guard.emulator._oauth.aadsts import EntraError, error_body
from entra_guard.emulator._oauth.admin_consent import admin_consent
from entra_guard.emulator._oauth.authorize import authorize, error_page
from entra_guard.emulator._oauth.cors import preflight, with_cors
from entra_guard.emulator._oauth.device import begin_device, device_page
from entra_guard.emulator._oauth.documents import (
    KNOWN_HOSTS,
    TEMPLATE,
    Authority,
    configuration_v1,
    configuration_v2,
    instance_discovery,
    keys_v1,
    keys_v2,
)
from entra_guard.emulator._oauth.managed_identity import (
    APP_SERVICE_PATH,
    ARC_PATH,
    IMDS_PATH,
    app_service,
    arc,
    virtual_machine,
)
from entra_guard.emulator._oauth.token_endpoint import answer_token_request
from entra_guard.emulator._pages.pages import explain_error, front_page, sign_out
from entra_guard.emulator._store.directory import CONSUMERS
from entra_guard.emulator._tokens.workloads import PATH as WORKLOADS
from entra_guard.emulator._tokens.workloads import workload_configuration, workload_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.emulator._directory.app_credentials import AppCredentials
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
_BOTH: Final = ("GET", "POST")
_VERSIONS: Final = ("", "/v2.0")


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers a method and a path. `{name}` stands for one segment."""

    method: str
    path: str
    target: Target
    answer: Callable[[AppCredentials, Request, Found], Response]

    def match(self, method: str, path: str) -> Found | None:
        return path_pattern(self.path).fullmatch(path) if self.method in {method, ANY} else None


def find(request: Request) -> tuple[Route, Found] | None:
    """The route of a request and what its path says."""
    method = "GET" if request.method == "HEAD" else request.method
    matches = ((route, route.match(method, request.path)) for route in ROUTES)
    return next(((route, found) for route, found in matches if found), None)


def handle(store: AppCredentials, request: Request) -> Response:
    """Answer one request. Never raises for anything a client may send."""
    if not is_loopback(request.host):
        return json_response(
            {"error": "The emulator answers on loopback only: use 127.0.0.1 or localhost."}, 421
        )
    found = find(request)
    if found is None:
        return json_response({"error": f"The emulator has nothing at {request.method} {request.path}."}, 404)
    route, path = found
    try:
        response = route.answer(store, request, path)
    except EntraError as problem:
        response = refusal(store, request, problem)
    except TooManyFieldsError as problem:
        response = json_response({"error": str(problem)}, 400)
    return with_cors(store, request, route.target, response)


def refusal(store: Store, request: Request, problem: EntraError) -> Response:
    """The error in Entra's words."""
    when = dt.datetime.fromtimestamp(store.now(), dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    correlation = correlation_of(request) or store.ids.guid()
    body = error_body(
        problem, base=request.base, timestamp=when, trace=store.ids.guid(), correlation=correlation
    )
    return json_response(
        body, problem.row.status, ("Cache-Control", "no-store, no-cache"), ("Pragma", "no-cache")
    )


def correlation_of(request: Request) -> str | None:
    """The correlation id a client chose, in header or query."""
    chosen = request.header("client-request-id") or request.parameters().get("client-request-id")
    try:
        return str(uuid.UUID(chosen)) if chosen else None
    except ValueError:
        return None


def authority(store: Store, request: Request, segment: str) -> Authority:
    """What a URL's first segment stands for.

    Raises:
        EntraError: No tenant of that name.
    """
    if segment in {"common", "organizations"}:
        return Authority(request.base, segment, TEMPLATE)
    if segment == "consumers":
        return Authority(request.base, segment, CONSUMERS)
    tenant = store.directory.tenant(segment)
    if tenant is None:
        raise EntraError(90002, error="invalid_tenant", tenant=segment)
    return Authority(request.base, tenant.id, tenant.id, tenant.region)


def _configuration_v2(store: Store, request: Request, found: Found) -> Response:
    at = authority(store, request, found["tenant"])
    return json_response(configuration_v2(at, request.parameters().get("appid")))


def _configuration_v1(store: Store, request: Request, found: Found) -> Response:
    at = authority(store, request, found["tenant"])
    return json_response(configuration_v1(at, request.parameters().get("appid")))


def _keys_v2(store: Store, request: Request, found: Found) -> Response:
    at = authority(store, request, found["tenant"])
    return json_response(keys_v2(at, _published(store, request, at)))


def _keys_v1(store: Store, request: Request, found: Found) -> Response:
    at = authority(store, request, found["tenant"])
    return json_response(keys_v1(_published(store, request, at)))


def _published(store: Store, request: Request, at: Authority) -> list[SigningKey]:
    """The keys one document shows: all, one app's own, or for personal accounts only theirs."""
    keys = store.state.keys
    own = keys.apps.get(request.parameters().get("appid", ""))
    if own is not None:
        return [own]
    return [k for k in keys.published() if at.tenant_id != CONSUMERS or k.realm == "consumers"]


def _instance(_world: Store, request: Request, _found: Found) -> Response:
    asked = split_url(request.parameters().get("authorization_endpoint", ""))
    if not (is_loopback(asked.netloc) or asked.hostname in KNOWN_HOSTS):
        raise EntraError(50049)
    segment = asked.path.strip("/").split("/")[0] or "common"
    return json_response(instance_discovery(request.base, segment))


def _user_realm(_world: Store, _request: Request, found: Found) -> Response:
    return json_response(
        {
            "ver": "1.0",
            "account_type": "Managed",
            "domain_name": found["upn"].rpartition("@")[2],
            "cloud_instance_name": "microsoftonline.com",
            "cloud_audience_urn": "urn:federation:MicrosoftOnline",
        }
    )


def _token_v2(store: Store, request: Request, found: Found) -> Response:
    return answer_token_request(store, request, found["tenant"], 2)


def _token_v1(store: Store, request: Request, found: Found) -> Response:
    return answer_token_request(store, request, found["tenant"], 1)


def _workload_configuration(_world: Store, request: Request, _found: Found) -> Response:
    return json_response(workload_configuration(request.base))


def _workload_keys(_world: Store, _request: Request, _found: Found) -> Response:
    return json_response(workload_keys())


def _shown(answer: Callable[[AppCredentials, Request, Found], Response]) -> Callable[..., Response]:
    """An answer for people: errors become a page."""

    def show(store: AppCredentials, request: Request, found: Found) -> Response:
        try:
            return answer(store, request, found)
        except EntraError as problem:
            return error_page(request, problem, correlation_of(request) or store.ids.guid())

    return show


@_shown
def _authorize(store: AppCredentials, request: Request, found: Found) -> Response:
    return authorize(store, request, found["tenant"])


@_shown
def _admin_consent_v1(store: AppCredentials, request: Request, found: Found) -> Response:
    return admin_consent(store, request, found["tenant"], 1)


@_shown
def _admin_consent_v2(store: AppCredentials, request: Request, found: Found) -> Response:
    return admin_consent(store, request, found["tenant"], 2)


@_shown
def _device_page(store: AppCredentials, request: Request, _found: Found) -> Response:
    return device_page(store, request)


def _device_code(store: AppCredentials, request: Request, found: Found) -> Response:
    return begin_device(store, request, found["tenant"])


def _preflight(store: AppCredentials, request: Request, _found: Found) -> Response:
    return preflight(store, request) or Response(405)


ROUTES: Final = (
    Route(ANY, "/v1.0/{rest*}", "graph", lambda store, request, _: graph(store, request)),
    Route(ANY, "/oidc/userinfo", "graph", lambda store, request, _: graph(store, request)),
    Route("GET", f"{WORKLOADS}/.well-known/openid-configuration", "identity", _workload_configuration),
    Route("GET", f"{WORKLOADS}/keys", "identity", _workload_keys),
    Route("GET", IMDS_PATH, "identity", lambda store, request, _: virtual_machine(store, request)),
    Route("GET", APP_SERVICE_PATH, "identity", lambda store, request, _: app_service(store, request)),
    Route("GET", ARC_PATH, "identity", lambda store, request, _: arc(store, request)),
    Route("GET", "/{tenant}/v2.0/.well-known/openid-configuration", "configuration", _configuration_v2),
    Route("GET", "/{tenant}/.well-known/openid-configuration", "configuration", _configuration_v1),
    Route("GET", "/{tenant}/discovery/v2.0/keys", "keys", _keys_v2),
    Route("GET", "/{tenant}/discovery/keys", "keys", _keys_v1),
    Route("GET", "/{tenant}/discovery/instance", "instance", _instance),
    Route("GET", "/{tenant}/UserRealm/{upn}", "instance", _user_realm),
    Route("POST", "/{tenant}/oauth2/v2.0/token", "token", _token_v2),
    Route("POST", "/{tenant}/oauth2/token", "token", _token_v1),
    *(
        Route(m, f"/{{tenant}}/oauth2{v}/authorize", "authorize", _authorize)
        for m in _BOTH
        for v in _VERSIONS
    ),
    *(Route("POST", f"/{{tenant}}/oauth2{v}/devicecode", "token", _device_code) for v in _VERSIONS),
    *(Route("OPTIONS", f"/{{tenant}}/oauth2{v}/token", "token", _preflight) for v in _VERSIONS),
    *(
        Route("GET", f"/{{tenant}}/oauth2{v}/logout", "pages", lambda w, r, _: sign_out(w, r))
        for v in _VERSIONS
    ),
    *(Route(m, "/{tenant}/adminconsent", "pages", _admin_consent_v1) for m in _BOTH),
    *(Route(m, "/{tenant}/v2.0/adminconsent", "pages", _admin_consent_v2) for m in _BOTH),
    *(Route(m, "/devicelogin", "pages", _device_page) for m in _BOTH),
    Route("GET", "/error", "pages", lambda _w, request, _: explain_error(request)),
    Route("GET", "/", "pages", lambda store, request, _: front_page(store, request)),
)
