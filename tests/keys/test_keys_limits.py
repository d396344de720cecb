"""Limits of time, size and frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from keys_entra import Callers, KeysEntra, settle

from entra_guard import FetchError, Guard
from entra_guard._common.http import exchange
from entra_guard._keys import manager
from entra_guard._keys.fetch import fetch
from entra_guard._keys.refresh_policy import Cause, RefreshRequest
from entra_guard._keys.refresh_wait import RefreshWait

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

URL = "https://login.example.com/keys"


# --- time ---


def test_a_request_waits_three_seconds_at_most_in_all_its_rounds_together(entra: KeysEntra) -> None:
    refresh = RefreshWait(entra.warm_guard(wait=3.0)._key_manager, is_task=False)
    left = []
    for seconds in (0.0, 2.0, 1.0, 7.0):
        entra.monotonic.advance(seconds)
        left.append(refresh.seconds_left())
    assert left == [3.0, 1.0, 0.0, 0.0]


def test_connecting_has_two_seconds_and_each_step_after_it_five() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={})

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        exchange(client, "GET", URL, limit=100)
    assert asked[0].extensions["timeout"] == {"connect": 2.0, "read": 5.0, "write": 5.0, "pool": 5.0}


def test_a_client_that_follows_redirects_does_not_follow_them_here() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"location": "https://elsewhere.example/"})

    with (
        httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True) as client,
        pytest.raises(FetchError, match="redirect"),
    ):
        exchange(client, "GET", URL, limit=100)
    assert asked == [URL]


def refused(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


def silent(_request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("silent")


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        (refused, 2),
        (silent, 1),
        (lambda _request: httpx.Response(503, json={}), 2),
        (lambda _request: httpx.Response(429, json={}, headers={"retry-after": "7"}), 1),
        (lambda _request: httpx.Response(200, text="<html>"), 1),
    ],
    ids=["refused", "silent", "503", "429 with Retry-After", "HTML"],
)
def test_only_errors_that_a_retry_may_fix_are_retried(
    entra: KeysEntra, answer: Callable[[httpx.Request], httpx.Response], times: int
) -> None:
    asked: list[str] = []

    def counted(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return answer(request)

    with (
        httpx.Client(transport=httpx.MockTransport(counted)) as client,
        pytest.raises(FetchError),
    ):
        fetch(client, entra.guard()._key_manager.source, old=None, known=None, now=0.0)
    assert len(asked) == times


def test_strict_startup_waits_no_longer_than_a_round_may_take(
    entra: KeysEntra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "_GIVE_UP", 0.05)
    entra.responses.hold(1)
    with pytest.raises(FetchError, match="not done in time"):
        entra.guard(strict_startup=True)
    entra.responses.release()


def test_what_is_already_answered_shares_no_lock_with_another_fork(entra: KeysEntra) -> None:
    keys = entra.warm_guard()._key_manager
    one, other = (
        keys.refresh(RefreshRequest(Cause.NO_KEYS), None, entra.monotonic()).future for _ in range(2)
    )
    assert one is not other
    assert one.done()


# --- what callers are told ---


def test_a_token_that_waited_for_a_new_key_without_result_gets_503_before_a_round_has_failed(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard(wait=0.05)
    entra.rotate_keys(overlap=False)
    entra.responses.hold(1)
    assert callers.verify(guard, entra.token()).reason == "keys_unavailable"
    assert not guard._key_manager.state.failing
    entra.responses.release()


def test_a_token_of_a_new_key_gets_503_without_a_wait_within_a_back_off(
    entra: KeysEntra, callers: Callers
) -> None:
    guard = entra.warm_guard()
    entra.rotate_keys(overlap=False)
    entra.fail("all", "500", retry_after=60)
    with pytest.raises(FetchError):
        guard._key_manager.fetch_now()
    entra.clear_requests()
    assert callers.verify(guard, entra.token()).reason == "keys_unavailable"
    assert not entra.requests


def test_within_a_back_off_a_forged_signature_causes_no_attempt(entra: KeysEntra, callers: Callers) -> None:
    guard = entra.warm_guard()
    entra.fail("all", "500", retry_after=60)
    with pytest.raises(FetchError):
        guard._key_manager.fetch_now()
    entra.clear_requests()
    assert callers.verify(guard, entra.token(preset="forged")).reason == "bad_signature"
    settle(guard)
    assert not entra.requests


def test_a_round_that_fails_and_finds_a_new_file_has_not_failed(entra: KeysEntra, tmp_path: Path) -> None:
    entra.warm_guard(keys_file=tmp_path / "brought.json")
    entra.fail("all", "refused")
    guard = entra.guard(keys_file=tmp_path / "later.json")
    (tmp_path / "brought.json").rename(tmp_path / "later.json")
    guard._key_manager.fetch_now()
    assert guard.health().kids


def test_a_guard_knows_how_far_the_clock_of_entra_is_ahead(entra: KeysEntra) -> None:
    guard = entra.warm_guard(clock=lambda: entra.now() - 40)
    serving = guard._key_manager.active_keys
    assert serving is not None
    assert serving.entra_ahead == pytest.approx(40, abs=20)


def test_no_two_processes_draw_the_same_jitter() -> None:
    guards = [Guard(tenant="contoso.com", audience="api://orders") for _ in range(3)]
    assert len({guard._key_manager._jitter() for guard in guards for _ in range(3)}) == 9


# --- size ---


def padded(document: dict[str, Any], size: int) -> bytes:
    """The document with white space after it, which JSON allows."""
    content = httpx.Response(200, json=document).content
    return content + b" " * (size - len(content))


@pytest.mark.parametrize(("which", "limit"), [("configuration", 64 * 1024), ("keys", 256 * 1024)])
def test_a_document_is_read_up_to_its_limit_and_not_a_byte_further(
    entra: KeysEntra, which: str, limit: int
) -> None:
    tenant, url = entra.tenant_id, entra.url
    size = {"configuration": 0, "keys": 0}

    def answer(request: httpx.Request) -> httpx.Response:
        document = "configuration" if "openid-configuration" in str(request.url) else "keys"
        response = entra.transport.handle_request(request)
        response.read()
        return httpx.Response(200, content=padded(response.json(), size[document]))

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        source = entra.guard(tenant=tenant, authority=url)._key_manager.source
        size[which] = limit
        assert fetch(client, source, old=None, known=None, now=0.0)
        size[which] = limit + 1
        with pytest.raises(FetchError, match=f"more than {limit} bytes"):
            fetch(client, source, old=None, known=None, now=0.0)
