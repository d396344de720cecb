"""One token decided with the keys at hand: pure, synchronous, waiting for nothing.

The order is: form, header, claims, GATE, key, signature, AFTER_SIGNATURE. Claims are judged before
the RSA check, so that a storm of expired tokens costs a fifth of one; permissions only after it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from entra_guard import _jws
from entra_guard._claims import Claims, read_claims
from entra_guard._json import NotStrictJsonError
from entra_guard._keys import KeyOrigin
from entra_guard.checklist import AFTER_SIGNATURE, GATE, Case, Check, nearest_audience
from entra_guard.errors import refusal
from entra_guard.principal import Identity

if TYPE_CHECKING:
    from entra_guard._key_ring import Serving
    from entra_guard.policy import Policy

_GATE: Final = tuple((check.decide, check) for check in GATE)
_AFTER: Final = tuple((check.decide, check) for check in AFTER_SIGNATURE)
_NO_KEY: Final = KeyOrigin()
_KNOWN_HEADERS: Final = 64


class Doubt(msgspec.Struct, frozen=True):
    """A refusal that newer keys could turn: 'unknown_key' or 'bad_signature'."""

    code: str
    kid: str
    claims: Claims


def decide(token: bytes, policy: Policy, serving: Serving, now: float) -> Identity | Doubt:
    """Decide about a token that is not remembered.

    Args:
        token: The compact JWS.
        policy: What is accepted.
        serving: The issuer and its keys.
        now: Seconds since the epoch.

    Raises:
        AccessError: It must not pass, whatever keys there are.
    """
    header_part, payload_part, signature_part, signing_input = _jws.split(token)
    header = serving.headers.get(header_part) or _jws.read_header(header_part, policy.algorithms)
    claims = claims_in(payload_part)
    issuer = serving.issuer
    for judge, check in _GATE:
        if code := judge(policy, issuer, claims, _NO_KEY, now):
            case = (policy, issuer, claims, _NO_KEY, now)
            raise refusal(code, partial(_facts, code, check, header.kid, case))
    key = serving.by_kid.get(header.kid)
    if key is None:
        return Doubt("unknown_key", header.kid, claims)
    if not _jws.signature_holds(key, header.alg, signing_input, _jws.decode(signature_part)):
        return Doubt("bad_signature", header.kid, claims)
    for judge, check in _AFTER:
        if code := judge(policy, issuer, claims, key.origin, now):
            case = (policy, issuer, claims, key.origin, now)
            raise refusal(code, partial(_facts, code, check, header.kid, case))
    if len(serving.headers) < _KNOWN_HEADERS:
        serving.headers[header_part] = header  # only now: a flood of headers must not fill it
    return _identity(claims)


def plausible(token: bytes, policy: Policy) -> None:
    """Refuse what no key could make good, where there are no keys to go further.

    Raises:
        InvalidTokenError: Its form, header or claims are not a token's.
    """
    header_part, payload_part, _signature, _input = _jws.split(token)
    _jws.read_header(header_part, policy.algorithms)
    claims_in(payload_part)


def claims_in(segment: bytes) -> Claims:
    """Read the deciding claims of a payload segment.

    Raises:
        InvalidTokenError: not_a_jwt or invalid_claims.
    """
    try:
        return read_claims(_jws.decode(segment))
    except NotStrictJsonError as error:
        raise refusal("invalid_claims", {"found": str(error)}) from None


def _identity(claims: Claims) -> Identity:
    assert claims.exp is not None  # noqa: S101  # the gate saw to it
    is_app = claims.is_app
    return Identity(
        claims.app_id,
        claims.tid,
        claims.oid,
        claims.oid if claims.sub == claims.oid else claims.sub,
        claims.roles,
        () if is_app else claims.scopes,
        claims.ver,
        is_app,
        claims.exp,
        claims.uti,
    )


def facts_about(claims: Claims, kid: str) -> dict[str, object]:
    """What the operator's log may say about any refused token: ids, never names."""
    facts = {"kid": kid, "tenant_id": claims.tid, "app_id": claims.app_id, "token_id": claims.uti}
    return {name: value for name, value in facts.items() if value}


def _facts(code: str, check: Check, kid: str, case: Case) -> dict[str, object]:
    policy, _issuer, claims, _key, now = case
    facts = {"expected": check.expected(*case), "found": check.found(*case)}
    if code == "expired":
        facts["expired_for_seconds"] = round(now - (claims.exp or 0))
    if code in ("wrong_audience", "token_for_graph"):
        facts |= {"nearest": nearest_audience(policy, claims), "request_scope": _scope_to_request(policy)}
    return facts | facts_about(claims, kid)


def _scope_to_request(policy: Policy) -> str:
    name = min(policy.audiences, key=lambda audience: (not audience.startswith("api://"), audience))
    return f"{name if ':' in name else f'api://{name}'}/.default"
