"""The guard before a Starlette application: who passes, what the others are told, which paths are open."""

from __future__ import annotations

import json
import logging
import re

import anyio
import pytest
from starlette.applications import Starlette
from starlette.authentication import requires as starlette_requires
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from entra_guard import AccessError, ConfigurationError, current_principal, requires
from entra_guard.asgi import GuardMiddleware
from entra_guard.reasons import REASONS


async def whoami(request):
    principal = request.user
    assert principal is current_principal()
    return JSONResponse({"app": principal.app_id, "roles": principal.roles, "scopes": request.auth.scopes})


@requires(roles=["Orders.Read"])
async def orders(request):
    return JSONResponse(["an order"])


@requires(roles=["Orders.Write"])
def write(request):
    return JSONResponse("written")


@requires(scopes=["Orders.Read"])
def as_user(request):
    return JSONResponse(current_principal().display_name)


@requires(app_only=True)
async def as_app(request):
    return JSONResponse(True)


@requires(users_only=True)
async def users(request):
    return JSONResponse(True)


@starlette_requires("Orders.Read")
async def starlettes_own(request):
    return JSONResponse(True)


async def healthy(request):
    return PlainTextResponse("healthy")


async def checks_late(websocket):
    await websocket.accept()
    await orders(websocket)


async def closes_and_checks(websocket):
    await websocket.accept()
    await websocket.close(4000)
    await orders(websocket)


async def echo(websocket):
    await websocket.accept()
    await websocket.send_text(current_principal().app_id)
    await websocket.close()


ROUTES = [
    Route("/whoami", whoami),
    Route("/orders", orders, methods=["GET", "POST"]),
    Route("/write", write),
    Route("/as-user", as_user),
    Route("/as-app", as_app),
    Route("/users", users),
    Route("/starlettes-own", starlettes_own),
    Route("/healthz", healthy),
    Route("/both", healthy),
    Route("/items/{rest:path}", healthy),
    Route("/static/{rest:path}", healthy),
    WebSocketRoute("/ws", echo),
    WebSocketRoute("/ws/checks-late", checks_late),
    WebSocketRoute("/ws/closes", closes_and_checks),
]


def app_of(entra, guard=None, **settings):
    app = Starlette(routes=ROUTES)
    settings.setdefault("public", ["/healthz", "/static/*"])
    app.add_middleware(GuardMiddleware, guard=guard or entra.guard(), **settings)
    return app


@pytest.fixture(scope="module")
def client(entra):
    return TestClient(app_of(entra))


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_a_good_token_reaches_the_handler_with_its_principal(entra, client):
    answer = client.get("/whoami", headers=bearer(entra.token()))
    assert answer.json() == {
        "app": entra.caller.client_id,
        "roles": ["Orders.Read"],
        "scopes": ["authenticated"],
    }


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_scheme_is_read_in_any_case(entra, client, scheme):
    assert client.get("/orders", headers={"Authorization": f"{scheme} {entra.token()}"}).status_code == 200


def test_scopes_of_a_user_satisfy_starlettes_own_requires(entra, client):
    assert (
        client.get(
            "/starlettes-own", headers=bearer(entra.token(scopes=["Orders.Read"], user="alice"))
        ).json()
        is True
    )
    assert client.get("/starlettes-own", headers=bearer(entra.token())).status_code == 403


ANSWERS = [
    ("missing_token", "/orders", {}, "Bearer"),
    ("malformed_authorization", "/orders", {"Authorization": "Basic dTpw"}, "invalid_request"),
    ("malformed_authorization", "/orders", {"Authorization": "Bearer null"}, "invalid_request"),
    ("malformed_authorization", "/orders", {"Authorization": "Bearer a b"}, "invalid_request"),
    ("malformed_authorization", "/orders", {"Authorization": "Bearer   "}, "invalid_request"),
    ("not_a_jwt", "/orders", "opaque", "invalid_token"),
    ("missing_role", "/write", {}, "insufficient_scope"),
    ("missing_scope", "/as-user", {}, "insufficient_scope"),
    ("user_token_required", "/users", {}, "insufficient_scope"),
    ("app_token_required", "/as-app", {"scopes": ["Orders.Read"], "user": "alice"}, "insufficient_scope"),
    ("no_permissions", "/orders", {"preset": "no-roles"}, "insufficient_scope"),
    *[
        (reason, "/orders", {"preset": preset}, "invalid_token")
        for reason, preset in {
            "token_too_large": "huge",
            "algorithm_not_allowed": "alg-none",
            "token_for_graph": "graph-token",
            "unknown_key": "unknown-kid",
            "bad_signature": "forged",
            "key_of_other_issuer": "kid-of-consumer-key",
            "key_of_other_cloud": "gov-cloud-key",
            "expired": "expired",
            "not_yet_valid": "not-yet-valid",
            "wrong_issuer": "wrong-iss",
            "wrong_tenant": "other-tenant",
            "personal_account": "msa-user",
            "wrong_audience": "wrong-aud",
            "id_token": "id-token-as-access-token",
            "invalid_claims": "duplicate-tid-case",
            "proof_of_possession_required": "mtls-bound",
        }.items()
    ],
    ("issued_in_future", "/orders", {"claims": {"iat": 9_999_999_999}}, "invalid_token"),
    ("wrong_cloud", "/orders", {"claims": {"iss": "https://login.microsoftonline.us/x/v2.0"}}, "invalid_token"),
]  # fmt: skip


def headers_for(entra, reason, token_options):
    if reason == "missing_token" or (isinstance(token_options, dict) and "Authorization" in token_options):
        return token_options
    return bearer(token_options if isinstance(token_options, str) else entra.token(**token_options))


@pytest.mark.parametrize(("reason", "path", "token_options", "error"), ANSWERS)
def test_every_refusal_has_its_status_challenge_body_and_log_line(
    entra, client, caplog, reason, path, token_options, error
):
    caplog.set_level(logging.INFO, "entra_guard")
    headers = headers_for(entra, reason, token_options)
    answer = client.get(path, headers=headers)
    words = REASONS[reason]
    assert answer.status_code == words.status
    if reason == "missing_token":
        assert answer.headers["www-authenticate"] == "Bearer"
    else:
        assert f'error="{error}", error_description="{words.client}"' in answer.headers["www-authenticate"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    record = next(record for record in caplog.records if record.name == "entra_guard")
    assert answer.json() == {
        "type": "about:blank", "title": answer.reason_phrase, "status": words.status, "detail": words.client, "reason": reason,
        "request_id": record.entra_guard["request_id"],
    }  # fmt: skip
    assert record.entra_guard["reason"] == reason
    assert words.fix in record.getMessage()


@pytest.mark.parametrize(
    ("reason", "settings", "token_options"),
    [
        ("client_not_allowed", {"allowed_clients": ["11112222-bbbb-3333-cccc-4444dddd5555"]}, {}),
        ("wrong_version", {"token_versions": "2.0"}, {"version": 1}),
    ],
)
def test_refusals_that_need_a_policy_of_their_own(entra, caplog, reason, settings, token_options):
    caplog.set_level(logging.INFO, "entra_guard")
    client = TestClient(app_of(entra, entra.guard(**settings)))
    answer = client.get("/orders", headers=bearer(entra.token(**token_options)))
    words = REASONS[reason]
    assert (answer.status_code, answer.json()["reason"]) == (words.status, reason)
    assert f'error_description="{words.client}"' in answer.headers["www-authenticate"]
    assert words.fix in caplog.text


def test_the_403_names_the_scope_that_is_needed(entra, client):
    assert (
        'scope="Orders.Write"'
        in client.get("/write", headers=bearer(entra.token())).headers["www-authenticate"]
    )


def test_an_outage_is_503_with_retry_after_and_no_word_about_the_token(entra, caplog):
    from entra_guard.emulator import Emulator

    down = Emulator(seed=8)
    down.fail("all", "500")
    import httpx

    from entra_guard import Guard

    guard = Guard(
        tenant=down.tenant_id,
        audience=entra.api.client_id,
        authority=down.url,
        http_client=httpx.Client(transport=down.transport),
    )
    answer = TestClient(app_of(entra, guard)).get("/orders", headers=bearer(entra.token()))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "www-authenticate" not in answer.headers
    assert answer.json()["reason"] == "keys_unavailable"
    assert "step=http" in caplog.text
    assert "status 500" in caplog.text


OPEN = ["/healthz", "/%68ealthz", "/both", "/both/", "/static/a.css", "/static/a/b.css", "/healthz?x=1"]
CLOSED = [
    "/whoami", "/healthz/", "//healthz", "/healthz//", "/healthz/..;/whoami", "/healthz/../whoami", "/healthz/whoami", "/Healthz",
    "/healthz%2f..%2fwhoami", "/healthz%00", "/static/../whoami", "/static/%2e%2e/whoami", "/static//whoami", "/static", "/static/",
    "/static/..;/whoami", "/static/a%5c..%5cwhoami", "/static/%252e%252e/whoami", "/healthz;x", "/healthz%3fx", "/",
]  # fmt: skip


def status_of(app, raw_path, root_path=""):
    """Drive the application as a server would, whatever a client library makes of the path."""
    from urllib.parse import unquote

    path, _, query = raw_path.partition("?")
    scope = {
        "type": "http", "method": "GET", "path": unquote(path), "raw_path": path.encode(), "root_path": root_path,
        "query_string": query.encode(), "headers": [], "scheme": "http", "server": ("test", 80), "http_version": "1.1",
    }  # fmt: skip
    sent = []

    async def run():
        async def receive():
            return {"type": "http.request", "body": b""}

        async def send(message):
            sent.append(message)

        await app(scope, receive, send)

    anyio.run(run)
    return sent[0]["status"]


@pytest.mark.parametrize("path", OPEN)
def test_a_public_path_needs_no_token(entra, path):
    app = app_of(entra, public=["/healthz", "/static/*", "/both", "/both/"])
    assert status_of(app, path) in (200, 307)  # Starlette redirects /both/ to /both


@pytest.mark.parametrize("path", CLOSED)
def test_a_path_that_only_looks_public_needs_a_token(entra, path):
    assert status_of(app_of(entra), path) == 401


def test_a_trailing_slash_makes_no_other_path_public(entra):
    app = app_of(entra, public=["/items", "/ready"])
    assert status_of(app, "/items/") == 401
    assert status_of(app_of(entra, public=["/items/"]), "/items/") == 200


def test_public_paths_are_those_below_the_mount_point(entra):
    outer = Starlette(routes=[Mount("/api", app_of(entra)), Mount("/healthz", app_of(entra))])
    assert status_of(outer, "/api/healthz") == 200
    assert status_of(outer, "/api/whoami") == 401
    assert status_of(outer, "/healthz/whoami") == 401
    assert status_of(outer, "/healthz/healthz") == 200


def test_a_servers_root_path_is_removed(entra):
    assert status_of(app_of(entra), "/v1/healthz", root_path="/v1") == 200
    assert status_of(app_of(entra), "/v1x/healthz", root_path="/v1") == 401


@pytest.mark.parametrize(
    "paths",
    [
        ["healthz"],
        ["/*"],
        "/healthz",
        ["/a/*/b"],
        ["/static*"],
        ["/static/*.css"],
        ["/static/**"],
        ["/static//*"],
        ["/healthz "],
        ["/a/[id]"],
        ["/a/:id"],
        ["/a|/b"],
        [None],
        [b"/healthz"],
        None,
        7,
        ["/a/../b"],
        ["/%68ealthz"],
        [""],
        ["/a/{id}"],
        ["/a/<id>"],
    ],
)
def test_a_public_path_that_cannot_work_is_refused_when_the_app_is_built(entra, paths):
    with pytest.raises(ConfigurationError):
        GuardMiddleware(Starlette(), guard=entra.guard(), public=paths)


def test_a_preflight_needs_a_token_as_every_request(entra, client):
    asks = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/orders", headers=asks).status_code == 401
    assert client.options("/orders").status_code == 401
    assert client.options("/orders", headers={"Origin": "https://shop.example"}).status_code == 401
    assert client.post("/orders", headers=asks).status_code == 401


def test_a_websocket_with_a_good_token_is_accepted(entra, client):
    with client.websocket_connect("/ws", headers=bearer(entra.token())) as websocket:
        assert websocket.receive_text() == entra.caller.client_id


def websocket_refusal(app, extensions):
    sent = []

    async def run():
        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            sent.append(message)

        await app(
            {"type": "websocket", "path": "/ws", "headers": [], "extensions": extensions}, receive, send
        )

    anyio.run(run)
    return sent


def test_a_refused_websocket_is_closed_before_it_is_accepted(entra):
    (closed,) = websocket_refusal(app_of(entra), {})
    assert closed == {"type": "websocket.close", "code": 1008, "reason": "missing_token"}


def test_a_refused_websocket_gets_the_reason_if_the_server_supports_it(entra):
    start, body = websocket_refusal(app_of(entra), {"websocket.http.response": {}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert json.loads(body["body"])["reason"] == "missing_token"


def test_a_websocket_client_sees_the_refusal(client):
    with pytest.raises((WebSocketDisconnect, Exception)) as caught, client.websocket_connect("/ws"):
        pass
    assert getattr(caught.value, "status_code", 401) == 401


def test_a_refusal_after_a_websocket_was_accepted_closes_it(entra, client):
    unauthorized = bearer(entra.token(roles=["Orders.Write"]))
    with (
        client.websocket_connect("/ws/checks-late", headers=unauthorized) as websocket,
        pytest.raises(WebSocketDisconnect) as caught,
    ):
        websocket.receive_text()
    assert (caught.value.code, caught.value.reason) == (1008, "missing_role")


def test_a_refusal_after_the_response_began_is_raised_to_the_server(entra, client):
    unauthorized = bearer(entra.token(roles=["Orders.Write"]))
    with (
        pytest.raises(AccessError, match="missing_role"),
        client.websocket_connect("/ws/closes", headers=unauthorized) as websocket,
    ):
        websocket.receive_text()


def test_the_whole_application_can_require_a_role(entra):
    client = TestClient(app_of(entra, roles=["Orders.Write"]))
    assert client.get("/whoami", headers=bearer(entra.token())).json()["reason"] == "missing_role"
    assert client.get("/whoami", headers=bearer(entra.token(roles=["Orders.Write"]))).status_code == 200
    assert client.get("/healthz").status_code == 200


def test_no_principal_is_current_after_the_request(entra, client):
    client.get("/whoami", headers=bearer(entra.token()))
    with pytest.raises(LookupError):
        current_principal()


def test_two_authorization_headers_are_refused(entra, client):
    token = entra.token()
    answer = client.get(
        "/orders", headers=[("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    )
    assert answer.json()["reason"] == "malformed_authorization"


@pytest.mark.parametrize("where", ["/orders?access_token={}", "/orders?token={}"])
def test_a_token_in_the_query_is_ignored(entra, client, where):
    assert client.get(where.format(entra.token())).json()["reason"] == "missing_token"


def test_lifespan_passes_through(entra):
    began = []

    async def lifespan(app):
        began.append(True)
        yield

    import contextlib

    app = Starlette(routes=ROUTES, lifespan=contextlib.asynccontextmanager(lifespan))
    app.add_middleware(GuardMiddleware, guard=entra.guard())
    with TestClient(app):
        assert began


def test_of_two_guards_with_one_issuer_either_may_accept_cold_or_warm(entra):
    ours = entra.guard(allowed_clients=["11112222-bbbb-3333-cccc-4444dddd5555"])
    theirs = entra.guard(allowed_clients=[entra.caller.client_id])
    for _cold_then_warm in range(2):
        for both in (ours | theirs, theirs | ours):
            assert both.verify(entra.token()).app_id == entra.caller.client_id
    with pytest.raises(AccessError, match="expired"):
        (ours | theirs).verify(entra.token(preset="expired"))


@pytest.mark.parametrize("pattern", ["/static*", "/static/*.css", "/static/**"])
def test_a_misplaced_star_is_refused_with_the_pattern_that_works(entra, pattern):
    with pytest.raises(ConfigurationError, match=re.escape("such as '/static/*'")):
        GuardMiddleware(Starlette(), guard=entra.guard(), public=[pattern])
