"""Nothing that a client sends can forge, break or hide a log line, whichever adapter logs it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from adapter_cases import ADAPTERS, bare_asgi
from fastapi import FastAPI, Security, WebSocket
from hypothesis import given, settings
from hypothesis import strategies as st
from log_checks import FORGED, assert_clean, collected_logs, hostile_text

from entra_guard._escaping import cleaned, escape, printable
from entra_guard.asgi import GuardMiddleware
from entra_guard.fastapi import EntraBearer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adapter_cases import AdapterCase

    from entra_guard import Guard
    from entra_guard.testing import Entra

few = settings(max_examples=8)


@pytest.fixture(scope="module", params=ADAPTERS)
def adapter(request: pytest.FixtureRequest, guard: Guard) -> AdapterCase:
    made: AdapterCase = ADAPTERS[request.param](guard)
    return made


def send(adapter: AdapterCase, path: str, authorization: list[bytes], **more: Any) -> None:
    """Send a request. Some frameworks fail at such methods with an error of their own."""
    with suppress(Exception):
        adapter(path, authorization, **more)


@given(text=hostile_text)
@few
def test_the_request_line_is_escaped(adapter, text):
    with collected_logs() as records:
        send(adapter, "/" + quote(text), [b"Bearer x"], method=text)
        send(adapter, "/orders", [b"Bearer x"], method="GET" + text)
        send(adapter, "/orders" + quote(text), [])
    assert_clean(records)


@given(header=st.binary(max_size=40), text=hostile_text)
@few
def test_the_authorization_header_is_escaped(adapter, header, text):
    with collected_logs() as records:
        for value in (header, b"Bearer " + header, text.encode(), b"Bearer " + text.encode()):
            send(adapter, "/orders", [value])
    assert_clean(records)
    assert records


def forged_tokens(entra: Entra, text: str) -> Iterator[bytes]:
    """Return tokens with hostile text in one place, most of them with a signature that is valid."""
    for name in ("iss", "aud", "tid", "ver", "azp", "oid", "uti", "idtyp", "roles", "scp", "sub", text):
        yield entra.token(claims={name: text}).encode()
    yield entra.token(claims={"aud": [text], "roles": [text]}).encode()
    yield entra.token(claims={"idtyp": {text: text}}).encode()
    for name in ("kid", "alg", "typ", "crit", text):
        header = {"typ": "JWT", "alg": "RS256", "kid": "k"} | {name: text}
        yield entra.issue_raw(header, {"aud": text}).encode()
    yield entra.issue_raw({"typ": "JWT", "alg": "RS256", "kid": "k"}, text.encode()).encode()


@given(text=hostile_text)
@settings(few, max_examples=2)
def test_claims_and_token_headers_are_escaped(adapter, entra, text):
    with collected_logs() as records:
        for token in forged_tokens(entra, text):
            send(adapter, "/orders", [b"Bearer " + token])
            send(adapter, "/admin", [b"Bearer " + token])
    assert_clean(records)
    assert records


@pytest.mark.parametrize("audience", ["x" * 6000, "\u202e" * 1000, ["\n" * 100] * 50])
def test_an_audience_of_any_length_makes_a_short_record(guard: Guard, entra: Entra, audience: Any) -> None:
    token = entra.token(claims={"aud": audience})
    with collected_logs() as records:
        send(ADAPTERS["starlette"](guard), "/orders", [f"Bearer {token}".encode()])
    [record] = [each for each in records if "wrong_audience" in each.getMessage()]
    assert len(record.getMessage()) < 1000
    found = record.entra_guard["found"]
    assert all(len(text) <= 203 for text in ([found] if isinstance(found, str) else found))
    assert len(found) <= 203


async def run_websocket(app: Any, path: str, authorization: bytes) -> None:
    waiting = [{"type": "websocket.connect"}]

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop()
        await asyncio.sleep(3600)
        raise AssertionError

    async def sent(_message: Any) -> None:
        """Drop it."""

    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"authorization", authorization)],
        "subprotocols": [],
        "extensions": {},
        "state": {},
    }
    await app(scope, receive, sent)


def websocket_route(guard: Guard) -> FastAPI:
    app, entra = FastAPI(), EntraBearer(guard)

    @app.websocket("/{path:path}")
    async def live(connection: WebSocket, _caller: Any = Security(entra)) -> None:  # noqa: B008
        await connection.accept()

    return app


@pytest.mark.parametrize("build", [websocket_route, lambda guard: GuardMiddleware(bare_asgi, guard=guard)])
@given(text=hostile_text)
@few
def test_the_path_of_a_refused_websocket_is_escaped(guard, build, text):
    with collected_logs() as records:
        asyncio.run(run_websocket(build(guard), "/" + text, b"Bearer " + text.encode()))
        asyncio.run(run_websocket(build(guard), "/" + text.replace("\n", ""), b"Bearer x"))
    assert_clean(records)
    assert records  # a path that holds a newline matches no route


async def waits(_scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})
    await receive()
    await receive()


@given(text=hostile_text)
@settings(few, max_examples=5)
def test_the_path_of_a_stream_that_ends_with_its_token_is_escaped(entra, text):
    token = entra.token()
    almost_over = entra.guard().verify(token).expires_at - 0.001
    app = GuardMiddleware(waits, guard=entra.guard(leeway=0, clock=lambda: almost_over))
    with collected_logs() as records:
        asyncio.run(run_websocket(app, "/" + text, f"Bearer {token}".encode()))
    assert_clean(records)
    assert "stream closed" in records[-1].getMessage()


@given(text=hostile_text)
@few
def test_an_explanation_has_one_line_per_step(entra, text):
    for token in forged_tokens(entra, text):
        explanation = entra.guard().explain(token)
        lines = str(explanation).split("\n")
        assert all(line.isascii() and line.isprintable() for line in lines)
        assert not [line for line in lines if line.startswith(FORGED.strip())]
        assert lines.count("accepted") == explanation.accepted


@given(
    value=st.recursive(
        hostile_text | st.integers() | st.floats(),
        lambda inner: st.lists(inner) | st.dictionaries(hostile_text, inner),
        max_leaves=10,
    )
)
def test_facts_of_any_shape_are_escaped_and_bounded(value):
    text = printable(value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 420
    json.dumps(cleaned(value))


def test_long_values_are_cut():
    assert len(escape("\u202e" * 100_000)) <= 4_010
    assert len(printable(["x" * 1_000_000] * 1_000)) <= 210
    assert len(json.dumps(cleaned({"x" * 1_000: "y" * 1_000_000}))) <= 450


def test_readable_text_stays_as_it_is():
    assert printable("Orders.Read") == "Orders.Read"
    assert printable("two words") == '"two words"'
    assert printable('say:"x') == '"say:\\"x"'  # a quote alone would hide the facts behind it from a parser
    assert printable(["Orders.Read"]) == '["Orders.Read"]'
    assert printable(3601) == "3601"
    assert printable("") == '""'
