"""No error that leaves a guard lets an error tracker send a token."""

from __future__ import annotations

import asyncio
import base64
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from frame_checks import assert_nothing_secret, caught, event_of, reachable_frames

from entra_guard import AccessError, EntraGuardError, FetchError, Guard, KeySettings

PRESETS = ["expired", "wrong-aud", "forged", "tampered", "unknown-kid", "no-roles", "graph-token"]


def secrets_of(token: str) -> list[str]:
    parts = [part for part in token.split(".") if len(part) > 16]
    return [*parts, *(part[8:40] for part in parts)]


def offline(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route", request=request)


def broken(_request: httpx.Request) -> httpx.Response:
    raise RuntimeError("not expected at all")


def invalid(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b"<html>")


def guards(entra: Any) -> dict[str, Guard]:
    def failing(handler: Any) -> Guard:
        client = httpx.Client(transport=httpx.MockTransport(handler))
        return entra.guard(http_client=client, keys=KeySettings(wait=0.5))

    return {
        "with keys": entra.guard(),
        "offline": failing(offline),
        "broken": failing(broken),
        "invalid": failing(invalid),
        "combined": entra.guard() | entra.guard(allowed_clients=[entra.api.client_id]),
        "combined, offline": failing(offline) | failing(invalid),
    }


NAMES = ["with keys", "offline", "broken", "invalid", "combined", "combined, offline"]


@pytest.fixture(params=["verify", "averify"])
def verify(request):
    if request.param == "verify":
        return lambda guard, token: guard.verify(token)
    return lambda guard, token: asyncio.run(guard.averify(token))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [str, str.encode])
def test_a_refusal_reaches_no_frame_with_the_token(entra, verify, name, kind):
    guard = guards(entra)[name]
    for preset in PRESETS if name in {"with keys", "combined"} else ["expired"]:
        token = entra.token(preset=preset, **({} if preset != "no-roles" else {"roles": []}))
        error = caught(lambda token=token: verify(guard, kind(token)))
        assert isinstance(error, AccessError)
        assert_nothing_secret(error, secrets_of(token))
        assert error.__cause__ is None
        assert error.__context__ is None


def test_a_refusal_has_a_fresh_traceback(entra):
    error = caught(lambda: entra.guard().verify(entra.token(preset="expired")))
    names = [frame.f_globals["__name__"] for frame in reachable_frames(error)]
    assert [name for name in names if name.startswith("entra_guard")] in ([], ["entra_guard.guard"])


@pytest.mark.parametrize("token", [None, 5, ["a-token-in-a-list"], b"\xff" * 40, "\ud800-a-token"])
def test_what_is_not_a_token_at_all_is_not_kept_either(entra, verify, token):
    error = caught(lambda: verify(entra.guard(), token))
    assert_nothing_secret(error, ["a-token-in-a-list", "\ud800-a-token", "\xff" * 40])


def test_a_bug_below_keeps_its_lines_and_no_token(entra, verify, monkeypatch):
    def fails(*_args: Any) -> None:
        raise ZeroDivisionError

    guard, token = entra.guard(), entra.token()
    guard.verify(entra.token(roles=["Orders.Read", "warm"]))
    monkeypatch.setattr("entra_guard._guard.decide.decide", fails)
    error = caught(lambda: verify(guard, token))
    assert isinstance(error, ZeroDivisionError)
    assert_nothing_secret(error, secrets_of(token))
    assert "decide_now" in [frame.f_code.co_name for frame in reachable_frames(error)]


def test_an_error_inside_of_the_callers_except_block_stays_apart_from_it(entra):
    token = entra.token(preset="expired")
    try:
        raise KeyError("of the caller")  # noqa: TRY301
    except KeyError:
        error = caught(lambda: entra.guard().verify(token))
    assert_nothing_secret(error, secrets_of(token))


@pytest.mark.parametrize("handler", [offline, broken, invalid])
def test_strict_startup_reaches_no_frame_with_a_proxys_password(entra, handler, monkeypatch):
    monkeypatch.setattr(
        "entra_guard.guard.new_client",
        lambda **_settings: httpx.Client(transport=httpx.MockTransport(handler)),
    )
    error = caught(
        lambda: Guard(
            tenant=entra.tenant_id,
            audience=entra.api.client_id,
            authority=entra.url,
            proxy="http://user:the-proxys-password@proxy.example:8080",
            strict_startup=True,
        )
    )
    assert isinstance(error, FetchError)
    assert_nothing_secret(error, ["the-proxys-password"])


def test_a_wrong_setting_reaches_no_frame_with_the_environment():
    environ = {"ENTRA_GUARD_TENANT": "x y", "ENTRA_GUARD_AUDIENCE": "", "DATABASE_URL": "a-secret-of-the-app"}
    error = caught(lambda: Guard.from_env(environ))
    assert isinstance(error, EntraGuardError)
    assert_nothing_secret(error, ["a-secret-of-the-app"])


def test_explain_reaches_no_frame_with_the_token(entra, monkeypatch):
    def fails(*_args: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("entra_guard.guard.walk", fails)
    token = entra.token()
    error = caught(lambda: entra.guard().explain(token))
    assert_nothing_secret(error, secrets_of(token))


def test_this_test_finds_a_token_in_a_frame():
    def holds(token: str) -> None:
        del token
        secret = base64.b64encode(b"something that is secret").decode()
        httpx.get("nothing://", headers={"authorization": secret})

    error = caught(lambda: holds("-"))
    with pytest.raises(AssertionError):
        assert_nothing_secret(error, [base64.b64encode(b"something that is secret").decode()])


def test_the_documented_scrubber_removes_the_frameworks_variables(entra):
    page = Path(__file__).parents[2] / "docs" / "security.md"
    [block] = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    names = {}
    exec(compile(block, page.name, "exec"), names)

    def framework(scope, environ):
        raise ValueError(len(scope) + len(environ))

    token = entra.token()
    headers = {"headers": [(b"authorization", token.encode())]}
    error = caught(lambda: framework(headers, {"HTTP_AUTHORIZATION": token}))
    event = event_of(error)
    assert token in str(event)
    names["scrubber"].scrub_event(event)
    frames = event["exception"]["values"][0]["stacktrace"]["frames"]
    assert all("Filtered" in str(frames[-1]["vars"][name]) for name in ("scope", "environ"))
    assert token.split(".")[2] not in str(frames[-1])
