"""What a fault does to an answer, one function per name. The table at the end is the list of all.

An effect gets the fault, the request and a way to the true answer, and says what goes out instead.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from entra_guard.emulator._graph.access import claims_challenge, graph_refusal
from entra_guard.emulator._graph.endpoints import PREFIX as GRAPH_PREFIX
from entra_guard.emulator._graph.odata import GraphError
from entra_guard.emulator._http.delivery import Answer, Ending
from entra_guard.emulator._http.messages import Response, json_response
from entra_guard.emulator._oauth.aadsts import AADSTS, EntraError
from entra_guard.emulator._routes import refusal
from entra_guard.emulator._store.signing_keys import predefined_key
from entra_guard.emulator._tokens.jws import base64url, minified

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Request
    from entra_guard.emulator._store.faults import Fault
    from entra_guard.emulator._store.store import Store

FOREIGN: Final = "https://login.attacker.example"
_LATE: Final = 5.0
_GRAPH_ERRORS: Final[Mapping[int, Callable[[], GraphError]]] = {
    429: lambda: GraphError(429, "TooManyRequests", "Too many requests. Please retry later."),
    500: lambda: GraphError(500, "InternalServerError", "An internal server error has occurred."),
    503: lambda: GraphError(503, "ServiceUnavailable", "The service is temporarily unavailable."),
}
_TOKEN_ENDPOINT_ERRORS: Final = {429: 90055, 503: 90033}
_OVERSIZE: Final = 1024 * 1024
_HTML: Final = (("Content-Type", "text/html; charset=utf-8"),)
_PAGE: Final = (
    b"<!DOCTYPE html><html><title>Sign in</title><p>Accept the terms of this network to go on.</p></html>"
)


@dataclass(frozen=True, slots=True)
class FaultContext:
    """One request context by one fault."""

    store: Store
    fault: Fault
    request: Request
    true: Callable[[], Response]


Effect = Callable[[FaultContext], Answer]
Document = dict[str, Any]


def _failing(status: int) -> Effect:
    """An error page of that status, or at the token endpoint an error in its own words."""

    def fail(context: FaultContext) -> Answer:
        response = Response(status, f"<h1>{status}</h1>".encode(), _HTML)
        if context.request.path.endswith("/token") and status in _TOKEN_ENDPOINT_ERRORS:
            problem = EntraError(_TOKEN_ENDPOINT_ERRORS[status])
            response = refusal(context.store, context.request, problem)
        if context.request.path.startswith(GRAPH_PREFIX):
            response = graph_refusal(context.store, context.request, _GRAPH_ERRORS[status]())
        return Answer(_retrying(context.fault, response))

    return fail


def _retrying(fault: Fault, response: Response) -> Response:
    if fault.retry_after is None:
        return response
    return response.adding(("Retry-After", f"{fault.retry_after:g}"))


def _aadsts(number: int) -> Effect:
    def refuse(context: FaultContext) -> Answer:
        problem = EntraError(number, **_PLACEHOLDERS)
        return Answer(_retrying(context.fault, refusal(context.store, context.request, problem)))

    return refuse


_PLACEHOLDERS: Final = dict.fromkeys(
    (
        "app",
        "tenant",
        "resource",
        "resource_name",
        "scope",
        "grant",
        "name",
        "detail",
        "algorithm",
        "now",
        "start",
        "end",
        "value",
        "uri",
    ),
    "(fault)",
)


def _ending(how: Ending) -> Effect:
    def end(context: FaultContext) -> Answer:
        response = context.true() if how == "partial" else Response()
        return Answer(response, how, delay=context.fault.delay or 0.0)

    return end


def _slow(context: FaultContext) -> Answer:
    return Answer(context.true(), delay=_LATE if context.fault.delay is None else context.fault.delay)


def _reordered(context: FaultContext) -> Answer:
    """Today's answer, to go out after a later one: at most so many seconds late."""
    latest = _LATE if context.fault.delay is None else context.fault.delay
    return Answer(context.true(), delay=latest, held=threading.Event())


def _stale(context: FaultContext) -> Answer:
    """The answer with the keys there were when the fault was set: a cache that lags behind a rotation."""
    now = context.store.state.keys
    context.store.change(keys=context.fault.keys or now)
    response = context.true()
    context.store.change(keys=now)
    return Answer(response)


def _instead(response: Response) -> Effect:
    return lambda _struck: Answer(response)


def _truncated(context: FaultContext) -> Answer:
    response = context.true()
    return Answer(replace(response, body=response.body[: len(response.body) // 2]))


def _oversize(context: FaultContext) -> Answer:
    """The true document with a mebibyte of spaces: right in all but its size."""
    response = context.true()
    return Answer(replace(response, body=response.body + b" " * _OVERSIZE))


def _redirect(context: FaultContext) -> Answer:
    return Answer(Response(302, b"", (("Location", f"{FOREIGN}{context.request.path}"),)))


def _editing(edit: Callable[[Document], Document]) -> Effect:
    """Change the JSON document, if it is one this edit knows."""

    def change(context: FaultContext) -> Answer:
        response = context.true()
        return Answer(replace(response, body=minified(edit(json.loads(response.body)))))

    return change


def _wrong_issuer(document: Document) -> Document:
    if "keys" in document:
        return {"keys": [_foreign(key) for key in document["keys"]]}
    return _foreign(document) if "issuer" in document else document


def _foreign(part: Document) -> Document:
    return {**part, "issuer": FOREIGN + urlsplit(str(part.get("issuer", ""))).path}


def _foreign_jwks_uri(document: Document) -> Document:
    return (
        {**document, "jwks_uri": f"{FOREIGN}/common/discovery/v2.0/keys"}
        if "jwks_uri" in document
        else document
    )


def _on_keys(edit: Callable[[list[Document]], list[Document]]) -> Effect:
    return _editing(lambda document: {"keys": edit(document["keys"])} if "keys" in document else document)


def _odd_key(make: Callable[[Document], Document]) -> Effect:
    """One odd key at the head of the good ones, made from the first of them."""
    return _on_keys(lambda keys: [make(keys[0]), *keys] if keys else keys)


def _odd(key: Document, **members: Any) -> Document:
    forger = predefined_key("forger")
    return {
        **key,
        "kid": forger.kid,
        "x5t": forger.kid,
        "n": forger.modulus,
        "x5c": [forger.certificate],
        **members,
    }


def _without_member(key: Document, *names: str) -> Document:
    return {name: value for name, value in key.items() if name not in names}


def _elliptic(key: Document) -> Document:
    kept = _without_member(_odd(key), "n", "e", "x5c")
    point = ec.derive_private_key(7, ec.SECP256R1()).public_key().public_numbers()
    x, y = (base64url(number.to_bytes(32, "big")) for number in (point.x, point.y))
    return {**kept, "kty": "EC", "crv": "P-256", "x": x, "y": y}


def _weak(key: Document) -> Document:
    return _odd(key, n=_weak_modulus(), x5c=[])


@functools.cache
def _weak_modulus() -> str:
    material = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 (weak is the point)
    return base64url(material.public_key().public_numbers().n.to_bytes(128, "big"))


def _symmetric(key: Document) -> Document:
    return {**_without_member(_odd(key), "n", "e", "x5c"), "kty": "oct", "k": base64url(bytes(32))}


def _private(key: Document) -> Document:
    """A published private key: the package's test-only one that signs nothing."""
    numbers = predefined_key("forger").private_key.private_numbers()
    return _odd(key, d=base64url(numbers.d.to_bytes(256, "big")))


def _same_kid(key: Document) -> Document:
    return {**_odd(key), "kid": key["kid"], "x5t": key["kid"]}


def _challenged(context: FaultContext) -> Answer:
    """Graph's claims challenge: the token was issued before now, and no longer does."""
    problem = claims_challenge(context.request, int(context.store.now()))
    return Answer(graph_refusal(context.store, context.request, problem))


EFFECTS: Final[Mapping[str, Effect]] = MappingProxyType(
    {
        "500": _failing(500),
        "503": _failing(503),
        "429": _failing(429),
        "stale": _stale,
        "slow": _slow,
        "silent": _ending("silent"),
        "dropped": _ending("dropped"),
        "refused": _ending("refused"),
        "partial": _ending("partial"),
        "reordered": _reordered,
        "html": _instead(Response(200, _PAGE, _HTML)),
        "truncated": _truncated,
        "empty": _instead(json_response({"keys": []})),
        "oversize": _oversize,
        "redirect": _redirect,
        "wrong-issuer": _editing(_wrong_issuer),
        "foreign-jwks-uri": _editing(_foreign_jwks_uri),
        "shuffled": _on_keys(lambda keys: keys[::-1]),
        "no-x5c": _on_keys(lambda keys: [_without_member(key, "x5c", "x5t") for key in keys]),
        "ec-key": _odd_key(_elliptic),
        "rsa-1024-key": _odd_key(_weak),
        "no-kid": _odd_key(lambda key: _without_member(_odd(key), "kid")),
        "bad-base64": _odd_key(lambda key: _odd(key, n="!not/base64+url!")),
        "enc-key": _odd_key(lambda key: _odd(key, use="enc")),
        "symmetric-key": _odd_key(_symmetric),
        "private-key": _odd_key(_private),
        "duplicate-kid": _odd_key(_same_kid),
        "claims-challenge": _challenged,
        "temporarily_unavailable": _aadsts(90033),
        **{f"AADSTS{number}": _aadsts(number) for number in AADSTS},
    }
)
"""Every effect by its name."""
