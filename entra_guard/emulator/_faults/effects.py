"""What a fault does to a response: one function per effect, and the table of all effects."""

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

from entra_guard.emulator._graph.paths import PREFIX as GRAPH_PREFIX
from entra_guard.emulator._http.delivery import Delivery, Ending
from entra_guard.emulator._http.messages import Response, json_response
from entra_guard.emulator._oauth.aadsts import AADSTS
from entra_guard.emulator._oauth.errors import EntraError, error_response
from entra_guard.emulator._store.encoding import base64url
from entra_guard.emulator._store.signing_keys import predefined_key
from entra_guard.emulator._tokens.jws import compact_json

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Request
    from entra_guard.emulator._store.faults import Fault
    from entra_guard.emulator._store.store import Store

FOREIGN_URL: Final = "https://login.attacker.example"
_DEFAULT_DELAY: Final = 5.0
_TOKEN_ENDPOINT_ERRORS: Final = {429: 90055, 503: 90033}
_OVERSIZE: Final = 1024 * 1024
_HTML: Final = (("Content-Type", "text/html; charset=utf-8"),)
_PAGE: Final = (
    b"<!DOCTYPE html><html><title>Sign in</title><p>Accept the terms of this network to continue.</p></html>"
)


@dataclass(frozen=True, slots=True)
class FaultContext:
    """One request affected by one fault.

    Attributes:
        respond: Returns the correct response.
    """

    store: Store
    fault: Fault
    request: Request
    respond: Callable[[], Response]


Effect = Callable[[FaultContext], Delivery]
Document = dict[str, Any]


def _error_status(status: int) -> Effect:
    """Return an effect that responds with this status; Entra's or Graph's error where it has one."""

    def fail(context: FaultContext) -> Delivery:
        response = Response(status, f"<h1>{status}</h1>".encode(), _HTML)
        if context.request.path.endswith("/token") and status in _TOKEN_ENDPOINT_ERRORS:
            error = EntraError(_TOKEN_ENDPOINT_ERRORS[status])
            response = error_response(context.store, context.request, error)
        if context.request.path.startswith(GRAPH_PREFIX):
            # The emulator starts without Graph.
            from entra_guard.emulator._faults.graph_effects import graph_error  # noqa: PLC0415

            response = graph_error(context.store, context.request, status)
        return Delivery(_with_retry_after(context.fault, response))

    return fail


def _with_retry_after(fault: Fault, response: Response) -> Response:
    if fault.retry_after is None:
        return response
    return response.with_headers(("Retry-After", f"{fault.retry_after:g}"))


def _aadsts(number: int) -> Effect:
    def refuse(context: FaultContext) -> Delivery:
        error = EntraError(number, **_PLACEHOLDERS)
        return Delivery(
            _with_retry_after(context.fault, error_response(context.store, context.request, error))
        )

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
    def end(context: FaultContext) -> Delivery:
        response = context.respond() if how == "partial" else Response()
        return Delivery(response, how, delay=context.fault.delay or 0.0)

    return end


def _slow(context: FaultContext) -> Delivery:
    """Delay the response."""
    return Delivery(
        context.respond(), delay=_DEFAULT_DELAY if context.fault.delay is None else context.fault.delay
    )


def _reordered(context: FaultContext) -> Delivery:
    """Hold the response until a later one was sent, for at most `delay` seconds."""
    latest = _DEFAULT_DELAY if context.fault.delay is None else context.fault.delay
    return Delivery(context.respond(), delay=latest, wait_for=threading.Event())


def _stale(context: FaultContext) -> Delivery:
    """Respond with the keys of the moment when the fault was set: a cache that lags behind a rotation."""
    now = context.store.state.keys
    context.store.change(keys=context.fault.keys or now)
    response = context.respond()
    context.store.change(keys=now)
    return Delivery(response)


def _replace_by(response: Response) -> Effect:
    return lambda _struck: Delivery(response)


def _truncated(context: FaultContext) -> Delivery:
    response = context.respond()
    return Delivery(replace(response, body=response.body[: len(response.body) // 2]))


def _oversize(context: FaultContext) -> Delivery:
    """Append 1 MiB of spaces to the correct document."""
    response = context.respond()
    return Delivery(replace(response, body=response.body + b" " * _OVERSIZE))


def _redirect(context: FaultContext) -> Delivery:
    return Delivery(Response(302, b"", (("Location", f"{FOREIGN_URL}{context.request.path}"),)))


def _edit_json(edit: Callable[[Document], Document]) -> Effect:
    """Return an effect that changes the JSON document."""

    def change(context: FaultContext) -> Delivery:
        response = context.respond()
        try:
            document = json.loads(response.body)
        except ValueError:  # a page, or a redirect
            return Delivery(response)
        return Delivery(replace(response, body=compact_json(edit(document))))

    return change


def _wrong_issuer(document: Document) -> Document:
    if "keys" in document:
        return {"keys": [_with_foreign_issuer(key) for key in document["keys"]]}
    return _with_foreign_issuer(document) if "issuer" in document else document


def _with_foreign_issuer(part: Document) -> Document:
    return {**part, "issuer": FOREIGN_URL + urlsplit(str(part.get("issuer", ""))).path}


def _foreign_jwks_uri(document: Document) -> Document:
    return (
        {**document, "jwks_uri": f"{FOREIGN_URL}/common/discovery/v2.0/keys"}
        if "jwks_uri" in document
        else document
    )


def _edit_keys(edit: Callable[[list[Document]], list[Document]]) -> Effect:
    return _edit_json(lambda document: {"keys": edit(document["keys"])} if "keys" in document else document)


def _add_key(make: Callable[[Document], Document]) -> Effect:
    """Return an effect that puts a key before the others, made from the first of them."""
    return _edit_keys(lambda keys: [make(keys[0]), *keys] if keys else keys)


def _forger_key(key: Document, **members: Any) -> Document:
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
    kept = _without_member(_forger_key(key), "n", "e", "x5c")
    point = ec.derive_private_key(7, ec.SECP256R1()).public_key().public_numbers()
    x, y = (base64url(number.to_bytes(32, "big")) for number in (point.x, point.y))
    return {**kept, "kty": "EC", "crv": "P-256", "x": x, "y": y}


def _weak(key: Document) -> Document:
    return _forger_key(key, n=_weak_modulus(), x5c=[])


@functools.cache
def _weak_modulus() -> str:
    material = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 (deliberately weak)
    return base64url(material.public_key().public_numbers().n.to_bytes(128, "big"))


def _symmetric(key: Document) -> Document:
    return {**_without_member(_forger_key(key), "n", "e", "x5c"), "kty": "oct", "k": base64url(bytes(32))}


def _private(key: Document) -> Document:
    """Publish a private key; it signs nothing."""
    numbers = predefined_key("forger").private_key.private_numbers()
    return _forger_key(key, d=base64url(numbers.d.to_bytes(256, "big")))


def _same_kid(key: Document) -> Document:
    return {**_forger_key(key), "kid": key["kid"], "x5t": key["kid"]}


def _claims_challenge(context: FaultContext) -> Delivery:
    from entra_guard.emulator._faults.graph_effects import graph_challenge  # noqa: PLC0415

    return Delivery(graph_challenge(context.store, context.request))


EFFECTS: Final[Mapping[str, Effect]] = MappingProxyType(
    {
        "500": _error_status(500),
        "503": _error_status(503),
        "429": _error_status(429),
        "stale": _stale,
        "slow": _slow,
        "silent": _ending("silent"),
        "dropped": _ending("dropped"),
        "refused": _ending("refused"),
        "partial": _ending("partial"),
        "reordered": _reordered,
        "html": _replace_by(Response(200, _PAGE, _HTML)),
        "truncated": _truncated,
        "empty": _replace_by(json_response({"keys": []})),
        "oversize": _oversize,
        "redirect": _redirect,
        "wrong-issuer": _edit_json(_wrong_issuer),
        "foreign-jwks-uri": _edit_json(_foreign_jwks_uri),
        "shuffled": _edit_keys(lambda keys: keys[::-1]),
        "no-x5c": _edit_keys(lambda keys: [_without_member(key, "x5c", "x5t") for key in keys]),
        "ec-key": _add_key(_elliptic),
        "rsa-1024-key": _add_key(_weak),
        "no-kid": _add_key(lambda key: _without_member(_forger_key(key), "kid")),
        "bad-base64": _add_key(lambda key: _forger_key(key, n="!not/base64+url!")),
        "enc-key": _add_key(lambda key: _forger_key(key, use="enc")),
        "symmetric-key": _add_key(_symmetric),
        "private-key": _add_key(_private),
        "duplicate-kid": _add_key(_same_kid),
        "claims-challenge": _claims_challenge,
        "temporarily_unavailable": _aadsts(90033),
        **{f"AADSTS{number}": _aadsts(number) for number in AADSTS},
    }
)
