"""Health for readiness probes, and refreshes in the background without any traffic."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING

from keys_entra import HOUR, Callers, KeysEntra, settle, until, visit

if TYPE_CHECKING:
    import pytest


# --- health ---


def test_asking_for_health_waits_for_nothing(entra: KeysEntra) -> None:
    entra.responses.hold(99)
    health = entra.guard().health()
    assert (health.status, health.ready, health.age, health.kids, health.issuer) == (
        "unavailable",
        False,
        None,
        (),
        "",
    )


def test_an_instance_that_is_only_probed_becomes_ready(entra: KeysEntra) -> None:
    guard = entra.guard()
    until(lambda: guard.health().ready)
    assert guard.health().status == "ok"


def test_health_is_ok_with_fresh_keys(entra: KeysEntra) -> None:
    guard = entra.warm_guard()
    entra.monotonic.advance(100)
    health = guard.health()
    assert (health.status, health.ready, health.age, health.generation) == ("ok", True, 100, 1)
    assert (health.failures, health.refused, health.last_error, health.next_attempt) == (0, 0, "", 3500)
    assert health.kids == tuple(sorted(key.kid for key in entra.keys))
    assert health.issuer == f"{entra.url}/{entra.tenant_id}/v2.0"


def test_health_is_degraded_while_refreshes_fail_and_says_what_failed(entra: KeysEntra) -> None:
    guard = entra.warm_guard()
    entra.fail("keys", "500")
    entra.monotonic.advance(2 * HOUR)
    visit(guard)
    health = guard.health()
    assert (health.status, health.ready, health.failures, health.refused) == ("degraded", True, 1, 0)
    assert health.last_error.startswith("http: status 500 (http://entra.localhost/")
    assert health.next_attempt == 0.5
    assert health.age == 2 * HOUR


def test_health_counts_answers_that_were_refused(entra: KeysEntra) -> None:
    guard = entra.warm_guard()
    entra.fail("keys", "empty")
    for _ in range(3):
        entra.monotonic.advance(HOUR + 1)
        visit(guard)
    assert (guard.health().failures, guard.health().refused) == (3, 3)
    entra.clear_faults()
    entra.monotonic.advance(10)
    visit(guard)
    assert (guard.health().failures, guard.health().refused, guard.health().last_error) == (0, 3, "")


def test_health_is_unavailable_once_the_keys_are_too_old(entra: KeysEntra) -> None:
    guard = entra.warm_guard()
    entra.fail("all", "silent")
    entra.monotonic.advance(24 * HOUR)
    health = guard.health()
    settle(guard)
    assert (health.status, health.ready, health.age) == ("unavailable", False, None)


def test_health_goes_into_json(entra: KeysEntra) -> None:
    fresh, warm = entra.guard(), entra.warm_guard()
    for health in (fresh.health(), warm.health()):
        assert json.loads(json.dumps(health.as_dict(), allow_nan=False))["status"] == health.status


def test_probing_does_not_add_fetches(entra: KeysEntra) -> None:
    guard = entra.warm_guard()
    for _ in range(1000):
        guard.health()
        entra.monotonic.advance(3)
    settle(guard)
    assert entra.key_requests == 0


# --- the log ---


def test_an_outage_of_hours_is_one_warning_and_a_change_of_its_cause_another(
    entra: KeysEntra, caplog: pytest.LogCaptureFixture
) -> None:
    guard = entra.warm_guard()
    for how in ("500", "silent"):
        entra.fail("keys", how)
        for _ in range(5):
            entra.monotonic.advance(HOUR + 1)
            visit(guard)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "status 500" in warnings[0]
    assert "ReadTimeout" in warnings[1]


def test_what_is_logged_is_logged_with_no_lock_held(entra: KeysEntra) -> None:
    guard = entra.warm_guard()
    entra.fail("all", "500")
    held = []

    class Curious(logging.Handler):
        def emit(self, _record: logging.LogRecord) -> None:
            held.append(guard._key_manager._lock.locked())

    curious = Curious()
    logging.getLogger("entra_guard.keys").addHandler(curious)
    try:
        for _ in range(30):
            entra.monotonic.advance(HOUR)
            visit(guard)
    finally:
        logging.getLogger("entra_guard.keys").removeHandler(curious)
    assert held
    assert not any(held)


# --- the background ---


def test_keys_come_without_traffic_even_when_the_first_attempt_fails(entra: KeysEntra) -> None:
    entra.fail_next("configuration", "500", times=2)
    guard = entra.guard(monotonic=time.monotonic)
    guard.health()
    until(lambda: guard._key_manager.state.snapshot is not None)
    assert len(entra.requests) == 2 + 3


def test_the_next_visit_is_when_the_refresh_is_due_or_the_keys_end(entra: KeysEntra) -> None:
    guard = entra.warm_guard()
    assert visit(guard) == 3600
    entra.fail("all", "500", retry_after=3600)
    entra.monotonic.advance(23.5 * HOUR)
    assert visit(guard) == 0.5 * HOUR


def test_a_retired_key_ends_in_the_background_too(entra: KeysEntra, callers: Callers) -> None:
    guard = entra.warm_guard(retired_key_grace=60.0)
    old = entra.token()
    entra.rotate_keys(overlap=False)
    assert callers.verify(guard, entra.token()).status == 200
    assert callers.verify(guard, old).status == 200
    assert visit(guard) == 60
    entra.monotonic.advance(60)
    assert callers.verify(guard, old).reason == "unknown_key"
