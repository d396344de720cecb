"""Each decision about a request is one event: in the log, in the metrics, and on the span of the request."""

from __future__ import annotations

import json
import logging
import re
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from adapter_cases import ADAPTERS, AdapterCase
from fastapi import APIRouter, FastAPI
from log_checks import collected_logs
from manual_clock import ManualClock
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from raw_requests import request_asgi
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient

from entra_guard import Guard, requires
from entra_guard._common.telemetry import TELEMETRY, user_hash
from entra_guard._web.log_floods import FLOODS, MOST_LINES, Floods
from entra_guard._web.request_id import request_id_of
from entra_guard.asgi import GuardMiddleware
from entra_guard.errors import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entra_guard.testing import Entra

NEVER_SET = threading.Event()
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


# --- the id of a request -----------------------------------------------------------------------------------

GOOD_IDS = {
    "a traceparent": ({"traceparent": f"00-{TRACE}-{PARENT}-01"}, TRACE),
    "a later version": ({"traceparent": f"cc-{TRACE}-{PARENT}-01-what-comes"}, TRACE),
    "an id": ({"x-request-id": "7f3a.B_c-9"}, "7f3a.B_c-9"),
    "the longest id": ({"x-request-id": "a" * 128}, "a" * 128),
    "both": ({"x-request-id": "7f3a", "traceparent": f"00-{TRACE}-{PARENT}-01"}, TRACE),
    "a bad traceparent and an id": ({"x-request-id": "7f3a", "traceparent": "00-x"}, "7f3a"),
}
BAD_IDS = [
    {},
    {"x-request-id": ""},
    {"x-request-id": "a" * 129},
    {"x-request-id": "a b"},
    {"x-request-id": "a\n"},
    {"x-request-id": "a,b"},
    {"x-request-id": "é"},
    {"x-request-id": "٣"},
    {"traceparent": f"ff-{TRACE}-{PARENT}-01"},
    {"traceparent": f"00-{'0' * 32}-{PARENT}-01"},
    {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
    {"traceparent": f"00-{TRACE.upper()}-{PARENT}-01"},
    {"traceparent": f"00-{TRACE}-{PARENT}-01\n"},
]


def as_scope(headers: dict[str, str]) -> dict[str, Any]:
    return {"headers": [(name.encode(), value.encode()) for name, value in headers.items()]}


def as_environ(headers: dict[str, str]) -> dict[str, Any]:
    return {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}


@pytest.mark.parametrize("what", GOOD_IDS)
@pytest.mark.parametrize("request_of", [as_scope, as_environ])
def test_the_id_is_taken_from_a_header_of_the_exact_form(what: str, request_of: Any) -> None:
    headers, expected = GOOD_IDS[what]
    assert request_id_of(request_of(headers)) == expected


@pytest.mark.parametrize("headers", BAD_IDS)
@pytest.mark.parametrize("request_of", [as_scope, as_environ])
def test_everything_else_gets_a_new_id_which_stays(headers: dict[str, str], request_of: Any) -> None:
    request = request_of(headers)
    found = request_id_of(request)
    assert uuid.UUID(found).version == 4
    assert request_id_of(request) == found
    assert request_id_of(request_of(headers)) != found


def test_two_headers_are_no_id() -> None:
    twice = {"headers": [(b"x-request-id", b"a"), (b"x-request-id", b"b")]}
    assert request_id_of(twice) not in {"a", "b"}


# --- events and counts of every adapter --------------------------------------------------------------------


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    TELEMETRY.connect(meter_provider=provider)
    yield reader
    TELEMETRY.disconnect()
    provider.shutdown()


@pytest.fixture
def spans() -> Iterator[tuple[Any, InMemorySpanExporter]]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    TELEMETRY.connect(tracer_provider=provider)
    yield provider.get_tracer("test"), exporter
    TELEMETRY.disconnect()
    provider.shutdown()


def counted(reader: InMemoryMetricReader, name: str = "entra_guard.decisions") -> list[dict[str, Any]]:
    """Return the attributes of a counter, each as often as it was counted."""
    data = reader.get_metrics_data()
    found: list[dict[str, Any]] = []
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points if metric.name == name else ():
                    found += [dict(point.attributes or {})] * int(point.value)  # type: ignore[union-attr]
    return found


def decisions(records: list[logging.LogRecord]) -> list[dict[str, Any]]:
    return [vars(record)["entra_guard"] for record in records if "entra_guard" in vars(record)]


@pytest.mark.parametrize("name", ADAPTERS)
def test_each_request_is_one_event_and_one_count(
    name: str, guard: Guard, entra: Entra, reader: InMemoryMetricReader
) -> None:
    adapter: AdapterCase = ADAPTERS[name](guard)
    good = [b"Bearer " + entra.token(roles=["Orders.Read"]).encode()]
    cases = [
        ("/orders", good, "accepted", None),
        ("/orders", [b"Bearer x.y.z"], "refused", "not_a_jwt"),
        ("/admin", good, "refused", "missing_role"),
        ("/healthz", [], None, None),
    ]
    for path, headers, outcome, reason in cases:
        before = len(counted(reader))
        with collected_logs() as records:
            response = adapter(path, headers, headers=[(b"x-request-id", b"id-7")])
        events = decisions(records)
        counts = counted(reader)[before:] if before else counted(reader)
        if name == "django rest framework" and reason == "missing_role":
            events, counts = (
                events[1:],
                counts[:1],
            )  # the permission classes decide after the token was accepted
        assert [event["outcome"] for event in events] == ([outcome] if outcome else []), path
        assert len(counts) == (1 if outcome else 0), path
        for event in events:
            assert event["request_id"] == "id-7"
            assert event.get("reason") == reason
            assert event["path"].endswith(path)
            assert "x.y.z" not in json.dumps(event)
        assert response.status in {200, 401, 403}
    outcomes = sorted((each["entra_guard.outcome"], each.get("error.type", "")) for each in counted(reader))
    expected = [("accepted", ""), ("refused", "missing_role"), ("refused", "not_a_jwt")]
    assert outcomes == ([expected[0], *expected] if name == "django rest framework" else expected)
    routes = {each.get("http.route") for each in counted(reader)}
    routed = {"/orders", "/admin", "/async/orders", "/async/admin", "/rest/orders", "/rest/admin", None}
    assert routes <= routed


def test_a_refusal_that_a_framework_responds_to_itself_is_logged_once(guard: Guard, entra: Entra) -> None:
    adapter = ADAPTERS["litestar"](guard)
    with collected_logs() as records:
        response = adapter("/admin", [b"Bearer " + entra.token(roles=["Orders.Read"]).encode()])
    assert response.status == 403
    assert [event["reason"] for event in decisions(records)] == ["missing_role"]


def test_with_debug_off_accepted_requests_are_not_logged(
    guard: Guard, entra: Entra, caplog: pytest.LogCaptureFixture
) -> None:
    client = TestClient(routed(guard), headers={"authorization": f"Bearer {entra.token()}"})
    caplog.set_level(logging.INFO, "entra_guard")
    client.get("/orders/7")
    assert decisions(caplog.records) == []
    caplog.set_level(logging.DEBUG, "entra_guard")
    client.get("/orders/7")
    (event,) = decisions(caplog.records)
    assert (event["outcome"], event["route"]) == ("accepted", "/orders/{id}")
    assert event["app_id"] == entra.caller.client_id
    assert re.search(
        r"accepted GET /orders/7: app_id=\S+, tenant_id=\S+, request_id=[0-9a-f]{32}$",
        caplog.text,
        re.MULTILINE,
    )


# --- routes ------------------------------------------------------------------------------------------------


def routed(guard: Guard) -> Starlette:
    def orders(request: Any) -> PlainTextResponse:
        return PlainTextResponse(request.user.app_id)

    @requires(roles=["Orders.Admin"])
    def admin(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("admin")

    async def talk(websocket: Any) -> None:
        await websocket.accept()
        await websocket.close()

    inner = Starlette(routes=[Route("/orders/{id:int}", orders)])
    app = Starlette(
        routes=[
            Route("/orders/{id}", orders),
            Route("/admin/{id}", admin),
            Mount("/v1", app=inner),
            Mount("/tenants/{tenant}", app=inner),
            WebSocketRoute("/talk/{id}", talk),
        ]
    )
    app.add_middleware(GuardMiddleware, guard=guard)
    return app


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/orders/7", "/orders/{id}"),
        ("/admin/7", "/admin/{id}"),
        ("/v1/orders/7", "/v1/orders/{id:int}"),
        ("/tenants/secret/orders/7", None),
        ("/tenants/secret/nowhere", "/tenants/{tenant}"),
        ("/nowhere/secret", None),
    ],
)
def test_the_route_is_a_template_and_never_the_path(
    guard: Guard, entra: Entra, reader: InMemoryMetricReader, path: str, route: str | None
) -> None:
    TestClient(routed(guard)).get(path, headers={"authorization": f"Bearer {entra.token()}"})
    assert [each.get("http.route") for each in counted(reader)] == [route]


def test_a_refusal_before_routing_has_no_route(guard: Guard, reader: InMemoryMetricReader) -> None:
    TestClient(routed(guard)).get("/orders/7", headers={"authorization": "Bearer x.y.z"})
    assert counted(reader) == [{"entra_guard.outcome": "refused", "error.type": "not_a_jwt"}]


def test_an_included_router_and_a_websocket_have_their_whole_template(
    guard: Guard, entra: Entra, reader: InMemoryMetricReader
) -> None:
    app, router = FastAPI(), APIRouter(prefix="/orders")
    router.add_api_route("/{id}", lambda: 1)
    app.include_router(router, prefix="/api")
    app.add_middleware(GuardMiddleware, guard=guard)
    headers = {"authorization": f"Bearer {entra.token()}"}
    TestClient(app).get("/api/orders/7", headers=headers)
    with TestClient(routed(guard)).websocket_connect("/talk/7", headers=headers):
        pass
    assert {each["http.route"] for each in counted(reader)} == {"/api/orders/{id}", "/talk/{id}"}


# --- the span of the request -------------------------------------------------------------------------------


def span_of(tracer: Any, exporter: InMemorySpanExporter, app: Any, path: str, token: str) -> dict[str, Any]:
    """Return what the guard adds to the span of a request."""

    async def instrumented(scope: Any, receive: Any, send: Any) -> None:
        with tracer.start_as_current_span("GET", kind=trace.SpanKind.SERVER):
            await app(scope, receive, send)

    exporter.clear()
    request_asgi(instrumented, path, [f"Bearer {token}".encode()])
    [span] = [span for span in exporter.get_finished_spans() if span.name == "GET"]
    return dict(span.attributes or {})


@pytest.mark.parametrize("trace_users", [False, True])
def test_the_span_names_tenant_application_and_outcome_and_users_only_as_a_hash(
    entra: Entra, spans: tuple[Any, InMemorySpanExporter], trace_users: bool
) -> None:
    app = routed(entra.guard(trace_users=trace_users))
    token = entra.token(user="alice", scopes=["access_as_user"])
    alice = entra.principal(user="alice", scopes=["access_as_user"])
    found = span_of(*spans, app, "/orders/7", token)
    expected = {
        "entra_guard.tenant_id": entra.tenant_id,
        "entra_guard.client_id": entra.caller.client_id,
        "entra_guard.outcome": "accepted",
    }
    if trace_users:
        expected["user.hash"] = user_hash(entra.tenant_id, alice.object_id)
    assert found == expected
    refused = span_of(*spans, app, "/admin/7", token)
    assert refused == expected | {"entra_guard.outcome": "refused", "entra_guard.reason": "missing_role"}


def test_nothing_of_a_token_that_was_not_verified_is_on_the_span(
    entra: Entra, spans: tuple[Any, InMemorySpanExporter]
) -> None:
    app = routed(entra.guard(trace_users=True))
    found = span_of(*spans, app, "/orders/7", entra.token(preset="forged"))
    assert found == {"entra_guard.outcome": "refused", "entra_guard.reason": "bad_signature"}


# --- floods ------------------------------------------------------------------------------------------------


def test_a_flood_of_one_reason_is_summed_up(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    floods = Floods(clock)
    logged = [floods.is_logged("wrong_audience", logging.WARNING, "") for _ in range(812)]
    assert sum(logged) == MOST_LINES
    assert floods.is_logged("expired", logging.WARNING, ""), "another reason is logged"
    window = floods._windows["wrong_audience"]
    clock.advance(59)
    assert window.run_pending() == 1
    assert caplog.text == ""
    clock.advance(1)
    window.run_pending()
    window.run_pending()
    (record,) = caplog.records
    assert record.getMessage() == "wrong_audience 812 times in 60 s, 712 of them not logged"
    assert vars(record)["entra_guard"] == {
        "outcome": "summary", "reason": "wrong_audience", "count": 812, "seconds": 60.0, "not_logged": 712,
    }  # fmt: skip
    assert floods.is_logged("wrong_audience", logging.WARNING, "")


def test_the_next_refusal_ends_a_window_too_and_few_refusals_need_no_summary(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    floods = Floods(clock)
    for number in range(MOST_LINES + 2):
        floods.is_logged("missing_role", logging.WARNING, f"app-{number % 3}")
    clock.advance(61)
    floods.is_logged("missing_role", logging.WARNING, "app-1")
    assert caplog.messages == [
        "missing_role 102 times in 60 s, 2 of them not logged, by 3 client applications"
    ]
    clock.advance(61)
    floods.is_logged("missing_role", logging.WARNING, "app-1")
    assert len(caplog.messages) == 1


def test_a_flood_is_summed_up_when_the_process_ends(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    floods = Floods(clock)
    for _ in range(MOST_LINES + 5):
        floods.is_logged("expired", logging.WARNING, "")
    floods.is_logged("bad_signature", logging.WARNING, "")
    clock.advance(10)
    floods.log_rest()
    floods.log_rest()
    assert caplog.messages == ["expired 105 times in 10 s, 5 of them not logged"]


def test_clients_are_counted_from_verified_tokens_only(
    guard: Guard, entra: Entra, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "entra_guard")
    client = TestClient(routed(guard))
    caplog.set_level(logging.WARNING, "entra_guard")
    for token in (entra.token(), entra.token(preset="wrong-aud"), entra.token(preset="no-roles")):
        client.get("/admin/7", headers={"authorization": f"Bearer {token}"})
    clients = {reason: window.clients for reason, window in FLOODS._windows.items()}
    verified = {entra.caller.client_id}
    assert clients == {"missing_role": verified, "wrong_audience": set(), "no_permissions": verified}


def test_the_summary_is_logged_by_the_refresh_thread_if_the_flood_just_stops(
    guard: Guard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("entra_guard._web.log_floods.SECONDS", 0.05)
    floods = Floods()
    for _ in range(MOST_LINES + 1):
        floods.is_logged("expired", logging.WARNING, "")
    for _ in range(1000):
        if caplog.messages:
            break
        NEVER_SET.wait(0.01)
    assert caplog.messages == ["expired 101 times in 0 s, 1 of them not logged"]


def test_an_error_is_only_as_long_as_its_request(guard: Guard) -> None:
    first, second = refusal("expired"), refusal("expired")
    first.request_id = "a"
    assert (b"request_id" in first.body, b"request_id" in second.body) == (True, False)
    assert "x-request-id" not in second.headers
