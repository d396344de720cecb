"""Metrics and spans of keys, tokens and credentials, in memory and as Prometheus reads them."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from frame_checks import assert_nothing_secret, caught
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from served_entra import served

from entra_guard import AccessError, TokenAcquisitionError
from entra_guard._common.telemetry import TELEMETRY, Telemetry, error_type
from entra_guard.credentials import CertificateCredential, OnBehalfOfCredential
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "telemetry"


class Collected:
    """What the providers of OpenTelemetry's SDK have collected."""

    def __init__(self) -> None:
        self.reader, self.exporter = InMemoryMetricReader(), InMemorySpanExporter()
        self.meters, self.tracers = MeterProvider([self.reader]), TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Return the attributes of an instrument's points, and their values (counts of histograms)."""
        data = self.reader.get_metrics_data()
        scopes = [scope for each in data.resource_metrics for scope in each.scope_metrics] if data else []
        found = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        points = [point for metric in found for point in metric.data.data_points]
        return [
            (dict(point.attributes), getattr(point, "value", getattr(point, "count", 0))) for point in points
        ]

    def spans(self, name: str) -> list[Any]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def collected() -> Iterator[Collected]:
    made = Collected()
    TELEMETRY.connect(meter_provider=made.meters, tracer_provider=made.tracers)
    yield made
    TELEMETRY.disconnect()
    made.meters.shutdown()


@pytest.fixture
def fresh() -> Entra:
    return Entra(app_roles=["Orders.Read"], base_url="http://telemetry.localhost")


def of_issuer(points: list[tuple[dict[str, Any], Any]], entra: Entra) -> list[tuple[dict[str, Any], Any]]:
    """Return the points of one Entra: guards of other tests may still exist."""
    return [(names, value) for names, value in points if entra.url in names["entra_guard.issuer"]]


def test_validations_are_timed_first_and_cached(fresh: Entra, collected: Collected) -> None:
    guard, token = fresh.guard(), fresh.token()
    for _ in range(3):
        guard.verify(token)
    with pytest.raises(AccessError):
        guard.verify(fresh.token(preset="expired"))
    with pytest.raises(TypeError):
        guard.verify(None)  # type: ignore[arg-type]
    timed = {
        (names["entra_guard.cached"], names["entra_guard.outcome"]): count
        for names, count in collected.points("entra_guard.validation.duration")
    }
    assert timed == {(False, "accepted"): 1, (True, "accepted"): 2, (False, "refused"): 2}
    results = {
        names["entra_guard.cache.result"]: n for names, n in collected.points("entra_guard.cache.lookups")
    }
    assert results == {"hit": 2, "miss": 3}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_refusal_reaches_no_frame_with_the_token(
    fresh: Entra, collected: Collected, is_async: bool
) -> None:
    guard = fresh.guard()
    for preset in ("expired", "forged"):
        token = fresh.token(preset=preset)
        error = caught(lambda t=token: asyncio.run(guard.averify(t)) if is_async else guard.verify(t))
        assert isinstance(error, AccessError)
        assert_nothing_secret(error, [part for part in token.split(".") if len(part) > 16])
    assert collected.points("entra_guard.validation.duration")


def test_gauges_show_the_age_of_keys_and_the_size_of_the_cache(fresh: Entra, collected: Collected) -> None:
    now = [1000.0]
    guard, second = fresh.guard(monotonic=lambda: now[0]), fresh.guard(monotonic=lambda: now[0] + 5)
    for _ in range(3):
        guard.verify(fresh.token())
    now[0] += 30
    second.verify(fresh.token())
    issuer = {"entra_guard.issuer": f"{fresh.url}/{fresh.tenant_id}"}
    assert (issuer, 30.0) in collected.points("entra_guard.keys.age")
    assert (issuer, 4) in collected.points("entra_guard.cache.size"), "those of both guards"


def test_refreshes_are_counted_by_trigger_and_outcome_each_in_a_span(
    fresh: Entra, collected: Collected
) -> None:
    guard = fresh.guard()
    guard.verify(fresh.token())
    fresh.rotate_keys()
    guard.verify(fresh.token())
    fresh.fail("all", "refused")
    other = fresh.guard()
    with pytest.raises(AccessError):
        other.verify(fresh.token())
    names = ("entra_guard.trigger", "entra_guard.outcome", "error.type")
    counts = {
        tuple(found.get(name, "") for name in names)
        for found, _count in of_issuer(collected.points("entra_guard.keys.refreshes"), fresh)
    }
    assert counts >= {("unknown_kid", "succeeded", "")}
    assert {count[1:] for count in counts} == {("succeeded", ""), ("failed", "connect")}
    failed, *_others = [span for span in collected.spans("entra_guard.keys.refresh") if not span.status.is_ok]
    assert failed.attributes["error.type"] == "connect"
    assert failed.attributes["server.address"] == "telemetry.localhost"
    assert failed.kind is trace.SpanKind.CLIENT
    assert failed.events == ()


def test_acquisitions_are_counted_and_traced_in_the_callers_trace(fresh: Entra, collected: Collected) -> None:
    scope, tracer = fresh.api.default_scope, collected.tracers.get_tracer("test")
    with tracer.start_as_current_span("request") as request:
        fresh.credential().get_token(scope)
        fresh.credential().get_token(scope)
    with pytest.raises(TokenAcquisitionError):
        fresh.credential(client_secret="not.the.secret~~~~~~~~~~~~~~~~~~~~~~~~").get_token(scope)
    counts = {
        (names["entra_guard.credential"], names["entra_guard.outcome"], names.get("error.type")): count
        for names, count in collected.points("entra_guard.token.acquisitions")
    }
    name = "ClientSecretCredential"
    assert counts == {(name, "succeeded", None): 2, (name, "failed", "invalid_client"): 1}
    first, _second, failed = collected.spans("entra_guard.token.acquire")
    assert first.parent.span_id == request.get_span_context().span_id
    assert first.attributes["entra_guard.scopes"] == scope
    assert failed.attributes["error.type"] == "invalid_client"
    written = " ".join(span.to_json() for span in collected.exporter.get_finished_spans())
    assert "not.the.secret" not in written
    assert "eyJ" not in written


def test_a_gauge_shows_the_days_until_a_certificate_ends(
    fresh: Entra, collected: Collected, tmp_path: Path
) -> None:
    certificate = fresh.new_certificate(fresh.caller)
    credential = CertificateCredential(
        fresh.tenant_id,
        fresh.caller.client_id,
        certificate.write(tmp_path / "client.pem"),
        authority=fresh.url,
    )
    client_id = credential.client_id
    user = OnBehalfOfCredential(credential, fresh.token(user="alice"))  # one per request has no proof itself
    points = collected.points("entra_guard.credential.time_left")
    assert type(user).__name__ not in {names["entra_guard.credential"] for names, _ in points}
    ((names, days),) = [point for point in points if point[0]["entra_guard.client_id"] == client_id]
    assert names["entra_guard.credential"] == "CertificateCredential"
    assert days == pytest.approx(credential.health()["proofs"][0]["days_left"], abs=0.2)


@pytest.mark.parametrize(
    ("name", "kept"),
    [("invalid_client", True), ("connect", True), ("a b", False), ("x" * 99, False), ("", False)],
)
def test_an_error_type_has_few_values(name: str, kept: bool) -> None:
    assert error_type(name) == (name if kept else "_OTHER")


def test_a_server_that_invents_errors_makes_no_new_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entra_guard._common.telemetry._error_types", {"timeout"})
    found = {error_type(f"made_up_{number}") for number in range(1000)}
    assert len(found) == 100
    assert "_OTHER" in found
    assert error_type("timeout") == "timeout"


def test_what_the_api_itself_provides_is_no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Telemetry()
    for provider in (metrics.NoOpMeterProvider(), metrics.get_meter_provider()):
        monkeypatch.setattr(metrics, "get_meter_provider", lambda provider=provider: provider)
        monkeypatch.setattr(trace, "get_tracer_provider", trace.NoOpTracerProvider)
        found.look_for_providers()
        assert not found.is_on
    monkeypatch.setattr(trace, "get_tracer_provider", TracerProvider)
    found.look_for_providers()
    assert (found.is_on, found.metrics) == (True, None)


STARLETTE_NAMES_ROUTES = tuple(map(int, version("starlette").split(".")[:2])) >= (1, 7)


# --- the examples ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exposition() -> str:
    """What Prometheus reads from the example application, below what is loaded and recorded before it starts."""
    entra = Entra(app_roles=["Orders.Read"])
    with served(entra):
        environ = {
            "ENTRA_GUARD_TENANT": entra.tenant_id,
            "ENTRA_GUARD_AUDIENCE": entra.api.client_id,
            "ENTRA_GUARD_AUTHORITY": entra.url,
            "PYTHONPATH": str(ROOT),
            "TOKEN": entra.token(roles=["Orders.Read"]),
            "CLIENT": entra.caller.client_id,
            "SECRET": entra.secret.value,
            "SCOPE": entra.api.default_scope,
        }
        code = (
            "import os, sys; sys.path.insert(0, 'examples/telemetry')\n"
            "import entra_guard.asgi, entra_guard.credentials\n"
            "from entra_guard._common.telemetry import TELEMETRY\n"
            "TELEMETRY.look_for_providers()\n"
            "print(any(name.startswith('opentelemetry') for name in sys.modules))\n"
            "import opentelemetry.metrics, opentelemetry.trace\n"
            "TELEMETRY.look_for_providers()\n"
            "print(TELEMETRY.is_on, TELEMETRY.metrics, TELEMETRY.tracer)\n"
            "from app import app\n"
            "from starlette.testclient import TestClient\n"
            "client = TestClient(app)\n"
            "good = {'authorization': 'Bearer ' + os.environ['TOKEN']}\n"
            "for headers in (good, good, {}, {'authorization': 'Bearer x.y.z'}):\n"
            "    client.get('/orders/7', headers=headers)\n"
            "from entra_guard.credentials import ClientSecret, ClientSecretCredential\n"
            "tenant, url = os.environ['ENTRA_GUARD_TENANT'], os.environ['ENTRA_GUARD_AUTHORITY']\n"
            "secret = ClientSecret(os.environ['SECRET'], expires_on='2999-01-01')\n"
            "credential = ClientSecretCredential(tenant, os.environ['CLIENT'], secret, authority=url)\n"
            "credential.get_token(os.environ['SCOPE'])\n"
            "print(client.get('/metrics').text)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
        )
    return done.stdout


def test_without_a_provider_nothing_is_recorded_and_nothing_is_imported(exposition: str) -> None:
    assert exposition.split("\n")[:2] == ["False", "False None None"]


def test_prometheus_reads_decisions_by_route_never_by_path(exposition: str) -> None:
    accepted = [
        line for line in exposition.splitlines() if "decisions_total{" in line and '="accepted"' in line
    ]
    [line] = accepted
    assert line.endswith(" 2.0")
    assert ('http_route="/orders/{id}"' in line) == STARLETTE_NAMES_ROUTES
    assert 'error_type="not_a_jwt"' in exposition
    assert "/orders/7" not in exposition
    assert 'entra_guard_keys_refreshes_total{entra_guard_issuer="http' in exposition
    assert 'entra_guard_trigger="no_keys"' in exposition
    for result, number in (("hit", "1.0"), ("miss", "2.0")):
        pattern = rf'cache_lookups_total\{{.*entra_guard_cache_result="{result}".* {number}$'
        assert re.search(pattern, exposition, re.MULTILINE)


def test_the_dashboard_and_the_alerts_name_what_prometheus_reads(exposition: str) -> None:
    metrics_read = set(re.findall(r"^(entra_guard_\w+?)(?:_bucket|_count|_sum)?\{", exposition, re.MULTILINE))
    labels = set(re.findall(r"[{,](\w+)=", exposition)) | {"le", "job", "instance", "http_route"}
    used = "".join(
        (EXAMPLES / name).read_text()
        for name in ("grafana-dashboard.json", "prometheus-alerts.yaml", "prometheus-alerts-test.yaml")
    )
    words = set(re.findall(r"\b(entra_guard_\w+?)(?:_bucket)?\b", used))
    assert words - labels == metrics_read
    grouped = {word.strip() for names in re.findall(r"by \(([^)]*)\)", used) for word in names.split(",")}
    assert grouped <= labels


def test_the_alerts_are_rules_of_prometheus() -> None:
    parsed = yaml.safe_load((EXAMPLES / "prometheus-alerts.yaml").read_text())
    rules = [rule for group in parsed["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    dashboard = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    assert dashboard["title"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard["panels"]:
        assert panel["gridPos"]["w"] <= 24
        assert panel["title"]
        assert all(target["expr"] for target in panel.get("targets", ()))
