"""One token decided with the keys at hand: pure, synchronous, waiting for nothing.

The order is: form, header, claims, PRE_SIGNATURE_CHECKS, key, signature, POST_SIGNATURE_CHECKS. Claims are
checked before the RSA check, so that a storm of expired tokens costs a fifth of one; permissions after it.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

import msgspec

from entra_guard._validation.checklist import (
    CHECKLIST,
    POST_SIGNATURE_CHECKS,
    PRE_SIGNATURE_CHECKS,
    Case,
    CheckFunction,
    nearest_audience,
)
from entra_guard._validation.claims import Claims, read_claims, refuse_ambiguous, write_claims
from entra_guard._validation.jwks import KeyOrigin
from entra_guard._validation.jws import decode, read_header, refuse_ambiguous_header, signature_holds, split
from entra_guard.errors import refusal
from entra_guard.principal import Identity, Principal

if TYPE_CHECKING:
    from entra_guard._validation.active_keys import ActiveKeys
    from entra_guard.policy import Policy

_GATE: Final = tuple(check.decide for check in PRE_SIGNATURE_CHECKS)
_AFTER: Final = tuple(check.decide for check in POST_SIGNATURE_CHECKS)
_CHECK_OF: Final = {check.decide: check for check in CHECKLIST}
_NO_KEY: Final = KeyOrigin()
_ABOUT_TIME: Final = frozenset({"expired", "not_yet_valid", "issued_in_future"})


class KeyMismatch(msgspec.Struct, frozen=True):
    """A refusal that newer keys could turn: 'unknown_key' or 'bad_signature'.

    Without claims, the header is one that was refused before, and the rest was not looked at.
    """

    code: str
    kid: str
    header: bytes
    claims: Claims | None = None


def decide(  # noqa: C901  # one straight line of steps: each call more would be paid by every request
    token: bytes, policy: Policy, serving: ActiveKeys, now: float
) -> Principal | KeyMismatch:
    """Decide about a token that is not remembered.

    Args:
        token: The compact JWS.
        policy: What is accepted.
        serving: The issuer and its keys.
        now: Seconds since the epoch.

    Raises:
        AccessError: It must not pass, whatever keys there are.
    """
    header_part, payload_part, signature_part, signing_input = split(token)
    known = serving.headers.get(header_part)
    if known is None:
        if stranger := serving.unknown_kids.get(header_part):
            return KeyMismatch("unknown_key", stranger[0], header_part)
        header, span = read_header(header_part, policy.algorithms), None
    else:
        header, span = known
    payload = decode(payload_part)
    claims = read_claims(payload)
    issuer = serving.issuer
    for check_function in _GATE:
        if code := check_function(policy, issuer, claims, _NO_KEY, now):
            raise refusal(
                code,
                partial(
                    _facts, code, check_function, header.kid, serving, (policy, issuer, claims, _NO_KEY, now)
                ),
            )
    key = serving.by_kid.get(header.kid)
    if key is None:
        return KeyMismatch("unknown_key", header.kid, header_part, claims)
    if not signature_holds(key, header.alg, signing_input, decode(signature_part)):
        return KeyMismatch("bad_signature", header.kid, header_part, claims)
    if write_claims(claims) != payload:
        refuse_ambiguous(payload)
    origin = key.origin
    for check_function in _AFTER:
        if code := check_function(policy, issuer, claims, origin, now):
            raise refusal(
                code,
                partial(
                    _facts, code, check_function, header.kid, serving, (policy, issuer, claims, origin, now)
                ),
            )
    if span is None:
        refuse_ambiguous_header(header_part)
        span = slice(len(header_part) + 1, -len(signature_part) - 1)
        serving.learn(header_part, header, span)  # only now: a flood of headers must not fill it
    return Principal(_identity(claims, issuer.tenant_id, span, policy.leeway), payload_part)


def check_unverified(token: bytes, policy: Policy) -> None:
    """Refuse what no key could make good, where there are no keys to go further.

    Raises:
        InvalidTokenError: Its form, header or claims are not a token's.
    """
    header_part, payload_part, _signature, _input = split(token)
    read_header(header_part, policy.algorithms)
    read_claims(decode(payload_part))


@lru_cache(maxsize=1024)
def _one(names: tuple[str, ...]) -> tuple[str, ...]:
    """One object for all equal ones: callers of one kind have the same roles, and there are many callers."""
    return names


def _identity(claims: Claims, tenant_id: str, payload: slice, leeway: float) -> Identity:
    assert claims.exp is not None  # noqa: S101  # the gate saw to it
    is_app, oid = claims.is_app, claims.oid
    return Identity(
        claims.app_id,
        tenant_id or claims.tid,
        oid,
        oid if claims.sub == oid else claims.sub,  # one object instead of two equal ones
        _one(claims.roles),
        () if is_app else _one(claims.scopes),
        "2.0" if claims.ver == "2.0" else claims.ver,
        is_app,
        claims.exp,
        claims.exp + leeway,
        claims.uti,
        payload,
    )


def facts_about(claims: Claims, kid: str) -> dict[str, object]:
    """What the operator's log may say about any refused token: ids, never names."""
    facts = {"kid": kid, "tenant_id": claims.tid, "app_id": claims.app_id, "token_id": claims.uti}
    return {name: value for name, value in facts.items() if value}


def _times(code: str, claims: Claims, now: float, entra_ahead: float | None) -> dict[str, object]:
    """By how much a token is late or early, and whether that may be this host's clock."""
    moment = {"expired": claims.exp, "not_yet_valid": claims.nbf, "issued_in_future": claims.iat}[code] or 0
    facts: dict[str, object] = {
        "expired_for_seconds" if code == "expired" else "early_by_seconds": round(abs(now - moment))
    }
    return facts if entra_ahead is None else facts | {"entra_clock_ahead_by_seconds": round(entra_ahead)}


def _facts(
    code: str, check_function: CheckFunction, kid: str, serving: ActiveKeys, case: Case
) -> dict[str, object]:
    check = _CHECK_OF[check_function]
    policy, _issuer, claims, _key, now = case
    facts = {"expected": check.expected(*case), "found": check.found(*case)}
    if code in _ABOUT_TIME:
        facts |= _times(code, claims, now, serving.entra_ahead)
    if code in ("wrong_audience", "token_for_graph"):
        facts |= {
            "nearest": nearest_audience(policy, claims),
            "request_scope": f"{policy.app_id_uri}/.default",
        }
    return facts | facts_about(claims, kid)
