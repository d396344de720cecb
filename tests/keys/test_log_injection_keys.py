"""Nothing that a key server sends can forge, break or hide a log line."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from log_checks import assert_clean, collected_logs, hostile_text

from entra_guard import AccessError, FetchError, Guard
from entra_guard._common.logs import get_logger
from entra_guard.testing import Entra

few = settings(max_examples=10)
ENTRA = Entra(seed=7)


def document(url: str) -> Any:
    with httpx.Client(transport=ENTRA.transport) as client:
        return client.get(url).json()


CONFIGURATION = f"{ENTRA.url}/{ENTRA.tenant_id}/v2.0/.well-known/openid-configuration"
V2 = document(CONFIGURATION)
KEYS = document(V2["jwks_uri"])


def answers(text: str) -> list[tuple[str, bytes, dict[str, str]]]:
    """Return answers with hostile text in one place: which URL has it, its body, its headers."""
    latin = text.encode("ascii", "replace").decode().replace("\n", " ").replace("\r", " ")
    one = KEYS["keys"][0]
    sets = [
        [{**one, "kid": text}],
        [*KEYS["keys"], {**one, "kid": text, "kty": text}],
        [*KEYS["keys"], {**one, "kid": text, "use": text}],
        [*KEYS["keys"], {**one, "kid": text, "n": text}],
        [*KEYS["keys"], {**one, "kid": text, "d": text}],
        [*KEYS["keys"], {**one, "kid": text, "issuer": text, "cloud_instance_name": text}],
        text,
    ]
    configurations = [{**V2, name: text} for name in ("issuer", "jwks_uri", "cloud_instance_name")]
    error = {"error": text, "error_description": text, "error_codes": [text]}
    return [
        *(("keys", json.dumps({"keys": keys}).encode(), {}) for keys in sets),
        *(("configuration", json.dumps(each).encode(), {}) for each in configurations),
        ("configuration", json.dumps(error).encode(), {"status": "400"}),
        ("configuration", text.encode(), {"content-type": latin.strip() or "x"}),
        ("configuration", text.encode(), {"status": "302", "location": latin.strip() or "/"}),
        ("keys", json.dumps(error).encode(), {"status": "429", "retry-after": latin.strip() or "1"}),
    ]


class HostileServer(httpx.BaseTransport):
    """The emulator, with one of its answers exchanged."""

    def __init__(self, place: str, body: bytes, headers: dict[str, str]) -> None:
        self._place = place
        self._body = body
        self._status = int(headers.pop("status", "200"))
        self._headers = headers

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        place = "configuration" if "openid-configuration" in request.url.path else "keys"
        if place != self._place:
            return ENTRA.transport.handle_request(request)
        return httpx.Response(self._status, headers=self._headers, content=self._body)


def report_of(guard: Guard) -> str:
    """Return the report of the refusal of a valid token, or ''."""
    try:
        guard.verify(ENTRA.token())
    except AccessError as error:
        return error.report()
    return ""


@given(text=hostile_text)
@few
def test_what_a_key_server_sends_is_escaped(text):
    for place, body, headers in answers(text):
        server = HostileServer(place, body, dict(headers))
        guard = Guard(
            tenant=ENTRA.tenant_id,
            audience=ENTRA.api.client_id,
            authority=ENTRA.url,
            http_client=httpx.Client(transport=server),
            clock=ENTRA.now,
        )
        with collected_logs() as records:
            report = report_of(guard)
        assert report.isascii()
        assert report.isprintable()
        assert_clean(records)
        assert records


def test_strict_startup_raises_what_the_log_has():
    server = HostileServer("configuration", json.dumps({**V2, "issuer": "x\x1b[2J\n"}).encode(), {})
    with pytest.raises(FetchError) as caught:
        Guard(
            tenant=ENTRA.tenant_id,
            audience=ENTRA.api.client_id,
            authority=ENTRA.url,
            http_client=httpx.Client(transport=server),
            strict_startup=True,
        )
    assert "\x1b" not in str(caught.value)


@given(text=hostile_text)
@few
def test_a_logged_traceback_is_escaped_and_holds_no_frames(text):
    log = get_logger("entra_guard.test")
    with collected_logs() as records:
        try:
            raise ValueError(text)  # noqa: TRY301
        except ValueError:
            log.exception("failed: %s", text)
    assert_clean(records)
    # A background refresh of another test may log at the same time.
    [record] = [record for record in records if record.name == "entra_guard.test"]
    assert record.exc_info is None
    assert record.funcName == "test_a_logged_traceback_is_escaped_and_holds_no_frames"
    assert "ValueError" in record.getMessage()


def test_arguments_are_not_rendered_for_a_level_that_is_off():
    logging.getLogger("entra_guard.test").setLevel(logging.ERROR)
    get_logger("entra_guard.test").info("%s", _Unprintable())


class _Unprintable:
    def __str__(self) -> str:
        raise AssertionError
