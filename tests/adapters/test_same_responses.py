"""Every adapter accepts the same requests, and refuses all others with the same response, byte for byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from adapter_cases import ADAPTERS, bare_wsgi
from flask import Flask
from raw_requests import RawResponse, request_wsgi

from entra_guard import AccessError
from entra_guard.emulator import PRESETS
from entra_guard.errors import refusal
from entra_guard.principal import NoPrincipalError
from entra_guard.wsgi import GuardMiddleware as WsgiGuardMiddleware

if TYPE_CHECKING:
    from adapter_cases import AdapterCase

    from entra_guard import Guard
    from entra_guard.testing import Entra

TOKEN = b"<a good token>"

HOSTILE_HEADERS: dict[str, list[bytes]] = {
    "missing_token": [],
    "empty": [b""],
    "a space": [b" "],
    "the scheme alone": [b"Bearer"],
    "the scheme and a space": [b"Bearer "],
    "another scheme": [b"Basic dXNlcjpwYXNzd29yZA=="],
    "an unknown scheme": [b"Token " + TOKEN],
    "two words": [b"Bearer " + TOKEN + b" " + TOKEN],
    "the scheme and spaces": [b"Bearer    "],
    "a tab": [b"Bearer\t" + TOKEN],
    "two headers": [b"Bearer " + TOKEN, b"Bearer " + TOKEN],
    "two headers, one of them Basic": [b"Basic dXNlcjpwYXNzd29yZA==", b"Bearer " + TOKEN],
    "two headers, the second empty": [b"Bearer " + TOKEN, b""],
    "joined by a comma": [b"Bearer " + TOKEN + b",Bearer " + TOKEN],
    "a comma behind": [b"Bearer " + TOKEN + b","],
    "null": [b"Bearer null"],
    "undefined": [b"bearer undefined"],
    "an object": [b"Bearer [object Object]"],
    "Bearer twice": [b"Bearer Bearer " + TOKEN],
    "Bearer with a colon": [b"Bearer: " + TOKEN],
}

WRAPPED_TOKENS: dict[str, tuple[bytes, str]] = {
    "without Bearer": (TOKEN, "missing_bearer"),
    "without Bearer, with spaces": (b"  " + TOKEN + b" ", "missing_bearer"),
    "in quotes": (b'Bearer "' + TOKEN + b'"', "quoted_token"),
    "in single quotes": (b"Bearer '" + TOKEN + b"'", "quoted_token"),
    "in a word processor's quotes": ("Bearer \u201c".encode() + TOKEN + "\u201d".encode(), "quoted_token"),
    "as a placeholder": (b"Bearer <" + TOKEN + b">", "quoted_token"),
    "in quotes without Bearer": (b'"' + TOKEN + b'"', "quoted_token"),
    "all of it in quotes": (b'"Bearer ' + TOKEN + b'"', "quoted_token"),
    "as compact JSON": (b'Bearer {"access_token":"' + TOKEN + b'"}', "token_in_json"),
    "as a token endpoint's response": (
        b'bearer {"token_type": "Bearer", "expires_in": 3599, "access_token": "' + TOKEN + b'"}',
        "token_in_json",
    ),
    "as JSON with a URL": (
        b'Bearer {"access_token":"' + TOKEN + b'","scope":"api://x/.default"}',
        "token_in_json",
    ),
    "as JSON without Bearer": (b'{"access_token":"' + TOKEN + b'"}', "token_in_json"),
}

HOSTILE_TOKENS: dict[str, bytes] = {
    "opaque": b"opaque",
    "two segments": b"a.b",
    "four segments": b"a.b.c.d",
    "dots": b"." * 2000,
    "not base64url": b"a+b.c/d.e=f",
    "not ASCII": "schlüssel.schlüssel.schlüssel".encode(),
    "not UTF-8": b"\xff\xfe\xfd.\xff.\xff",
    "a NUL byte": b"\x00.\x00.\x00",
    "a megabyte": b"a" * 1_000_000,
    "no JSON": b"YQ.YQ.YQ",
    "a tab behind": b"YQ.YQ.YQ\t",
    "quotes for the challenge": b'"\\"\\\\"',
}


ON_ROUTES = {"fastapi with the dependency", "django rest framework"}  # what has no route is not theirs


@pytest.fixture(scope="module", params=ADAPTERS)
def adapter(request: pytest.FixtureRequest, guard: Guard) -> AdapterCase:
    made: AdapterCase = ADAPTERS[request.param](guard)
    return made


@pytest.fixture(scope="module", params=sorted(ADAPTERS.keys() - ON_ROUTES))
def whole_application(request: pytest.FixtureRequest, guard: Guard) -> AdapterCase:
    made: AdapterCase = ADAPTERS[request.param](guard)
    return made


def expected(error: AccessError) -> RawResponse:
    headers = error.headers
    return RawResponse(
        error.status,
        headers.get("www-authenticate"),
        "application/problem+json",
        headers.get("retry-after"),
        "no-store",
        error.body,
    )


def refusal_of(guard: Guard, token: bytes) -> AccessError:
    with pytest.raises(AccessError) as caught:
        guard.verify(token)
    return caught.value


def test_a_valid_token_reaches_the_application(adapter: AdapterCase, entra: Entra) -> None:
    response = adapter("/orders", [b"Bearer " + entra.token().encode()])
    assert response.status == 200
    assert entra.caller.client_id in response.body.decode()


def test_a_public_path_needs_no_token(adapter: AdapterCase) -> None:
    assert adapter("/healthz", []).status == 200


def test_a_hostile_header_gets_the_same_response_in_every_adapter(adapter: AdapterCase, entra: Entra) -> None:
    good = entra.token().encode()
    for what, values in HOSTILE_HEADERS.items():
        headers = [value.replace(TOKEN, good) for value in values]
        code = "malformed_authorization" if headers else "missing_token"
        assert adapter("/orders", headers) == expected(refusal(code)), what


def test_what_a_token_is_wrapped_in_is_named(adapter: AdapterCase, entra: Entra) -> None:
    good = entra.token().encode()
    for what, (header, reason) in WRAPPED_TOKENS.items():
        assert adapter("/orders", [header.replace(TOKEN, good)]) == expected(refusal(reason)), what


def test_a_hostile_token_gets_the_same_response_in_every_adapter(adapter: AdapterCase, guard: Guard) -> None:
    for what, token in HOSTILE_TOKENS.items():
        response = adapter("/orders", [b"Bearer " + token])
        assert response == expected(refusal_of(guard, token)), what
        assert json.loads(response.body)["reason"] in {
            "not_a_jwt",
            "token_too_large",
            "malformed_authorization",
            "quoted_token",
        }, what


REFUSED = sorted(PRESETS.keys() - {"v1", "v2", "group-overage", "guest", "cae", "agent-autonomous"})


def test_a_forged_or_unusual_token_gets_the_same_response_in_every_adapter(
    adapter: AdapterCase, guard: Guard, entra: Entra
) -> None:
    for preset in REFUSED:
        if not preset.startswith("agent-"):
            token = entra.token(preset=preset).encode()
            assert adapter("/orders", [b"Bearer " + token]) == expected(refusal_of(guard, token)), preset


def test_a_missing_role_gets_the_same_response_in_every_adapter(adapter: AdapterCase, entra: Entra) -> None:
    response = adapter("/admin", [b"Bearer " + entra.token(roles=["Orders.Read"]).encode()])
    assert response == expected(refusal("missing_role", scope="Orders.Admin"))
    assert adapter("/admin", [b"Bearer " + entra.token(roles=["Orders.Admin"]).encode()]).status == 200


def test_an_unknown_path_gets_the_same_response_without_a_token(whole_application: AdapterCase) -> None:
    assert whole_application("/nowhere", []) == expected(refusal("missing_token"))


def test_requires_on_a_public_path_is_a_server_error(guard: Guard) -> None:
    """The route is both public and restricted: a server error, and it never opens."""
    adapter = WsgiGuardMiddleware(bare_wsgi, guard=guard, public=["/admin"])
    with pytest.raises(NoPrincipalError, match="the path is public"):
        request_wsgi(adapter, "/admin", [])


def test_a_head_request_is_refused_without_a_body(whole_application: AdapterCase) -> None:
    response = whole_application("/orders", [], method="HEAD")
    assert (response.status, response.challenge, response.body) == (401, "Bearer", b"")


def test_an_outage_gets_the_same_response_in_every_adapter(entra: Entra) -> None:
    bearer = b"Bearer " + entra.token().encode()
    with entra.failing("configuration", "500"):
        responses = [make(entra.guard())("/orders", [bearer]) for make in ADAPTERS.values()]
    assert len(set(responses)) == 1
    assert (responses[0].status, responses[0].challenge) == (503, None)
    assert int(responses[0].retry_after or 0) >= 1


def test_a_preflight_without_a_token_is_refused_except_in_flask(whole_application: AdapterCase) -> None:
    preflight: Any = [(b"origin", b"https://spa.example"), (b"access-control-request-method", b"GET")]
    response = whole_application("/orders", [], method="OPTIONS", headers=preflight)
    if isinstance(whole_application.app, Flask):
        assert (response.status, response.body) == (200, b"")
    else:
        assert response == expected(refusal("missing_token"))
    assert whole_application("/orders", [], method="OPTIONS", headers=preflight[:1]).status == 401
