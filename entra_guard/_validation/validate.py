"""Decide about one token with the keys that are cached: pure, synchronous, without clock, lock or I/O.

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
    issuer_expected,
    nearest_audience,
)
from entra_guard._validation.claims import read_claims, refuse_ambiguous, write_claims
from entra_guard._validation.hints import audience_hint
from entra_guard._validation.jwks import KeyOrigin
from entra_guard._validation.jws import decode, is_signed_by, read_header, refuse_ambiguous_header, split
from entra_guard._validation.openid_claims import AnyClaims, OpenIdClaims, read_openid_claims
from entra_guard.errors import refusal
from entra_guard.principal import Identity, Principal

if TYPE_CHECKING:
    from entra_guard._validation.active_keys import ActiveKeys
    from entra_guard._validation.issuer import Issuer
    from entra_guard._validation.openid_claims import ClaimRules
    from entra_guard.policy import Policy

_BEFORE: Final = tuple(check.decide for check in PRE_SIGNATURE_CHECKS)
_AFTER: Final = tuple(check.decide for check in POST_SIGNATURE_CHECKS)
_CHECK_OF: Final = {check.decide: check for check in CHECKLIST}
_NO_KEY: Final = KeyOrigin()
_MOST_SHARED: Final = 64
ABOUT_TIME: Final = frozenset({"expired", "not_yet_valid", "issued_in_future"})


class KeyMismatch(msgspec.Struct, frozen=True):
    """A refusal that newer keys could change: 'unknown_key' or 'bad_signature'.

    Without claims, the header is one that was refused before, and the rest was not read.
    """

    code: str
    kid: str
    header: bytes
    keys: ActiveKeys
    claims: AnyClaims | None = None
    # Without claims: until when the kid is not looked up again.
    until: float = 0.0
    # False where the key of the token's own kid did not sign it.
    is_unknown: bool = True
    # How many bytes the signature has, and how many its key makes.
    signature_bytes: tuple[int, int] = (0, 0)

    @property
    def caller(self) -> str:
        """The caller that the unverified token names: only Entra has object ids."""
        return "" if self.claims is None else self.claims.oid or self.claims.sub


def decide(  # noqa: C901  # one straight line of steps: each call more would be paid by every request
    token: bytes,
    policy: Policy,
    keys: ActiveKeys,
    now: float,
    checks_after: tuple[CheckFunction, ...] = _AFTER,
) -> Principal | KeyMismatch:
    """Decide about a token that is not in the cache of verified tokens.

    Args:
        token: The compact JWS.
        policy: What is accepted.
        keys: The issuer and its keys.
        now: Seconds since the epoch.
        checks_after: What `checks_after_signature` returns for the policy; by default all of them.

    Raises:
        AccessError: It must not pass, whatever keys there are.
    """
    header_part, payload_part, signature_part, signing_input = split(token)
    issuer = keys.issuer
    is_entra = issuer.is_entra
    known = keys.headers.get(header_part)
    if known is None:
        if unknown := keys.unknown_kids.get(header_part):
            kid, until = unknown
            return KeyMismatch("unknown_key", kid, header_part, keys, None, until)
        kid_is_optional = issuer.kid_is_optional
        header, span = read_header(header_part, policy.algorithms, kid_is_optional=kid_is_optional), None
    else:
        header, span = known
    payload = decode(payload_part)
    claims = read_claims(payload) if is_entra else read_openid_claims(payload, issuer.rules, header.typ)
    for check in _BEFORE:
        if code := check(policy, issuer, claims, _NO_KEY, now):
            case = (policy, issuer, claims, _NO_KEY, now)
            raise refusal(code, partial(_facts, code, check, header.kid, keys, case))
    key = keys.by_kid.get(header.kid) or keys.key_without_kid(header.kid, header.alg)
    if key is None:
        return KeyMismatch("unknown_key", header.kid, header_part, keys, claims)
    signature = decode(signature_part)
    if not is_signed_by(key, header.alg, signing_input, signature):
        is_unknown = not header.kid or key.kid != header.kid  # the key may be the wrong one
        sizes = (len(signature), key.signature_bytes)
        return KeyMismatch("bad_signature", header.kid, header_part, keys, claims, 0.0, is_unknown, sizes)
    if is_entra and write_claims(claims) != payload:
        refuse_ambiguous(payload)
    origin = key.origin
    for check in checks_after:
        if code := check(policy, issuer, claims, origin, now):
            case = (policy, issuer, claims, origin, now)
            raise refusal(code, partial(_facts, code, check, header.kid, keys, case)).for_client(
                claims.app_id
            )
    if span is None:
        refuse_ambiguous_header(header_part)
        span = slice(len(header_part) + 1, -len(signature_part) - 1)
        keys.learn(header_part, header, span)  # only now: a flood of headers must not fill it
    return Principal(_identity(claims, issuer.tenant_id, span, policy.leeway), payload_part)


def check_unverified(token: bytes, policy: Policy, rules: ClaimRules | None) -> None:
    """Refuse what no key could verify, where there are no keys yet.

    Args:
        token: The compact JWS.
        policy: What is accepted.
        rules: Where an issuer other than Entra puts its claims; None for Entra.

    Raises:
        InvalidTokenError: Its form, header or claims are not a token's.
    """
    header_part, payload_part, _signature, _input = split(token)
    kid_is_optional = rules is not None and not rules.is_b2c
    header = read_header(header_part, policy.algorithms, kid_is_optional=kid_is_optional)
    read_any_claims(decode(payload_part), rules, header.typ)


def read_any_claims(payload: bytes, rules: ClaimRules | None, header_typ: str) -> AnyClaims:
    """Read the claims of Entra, or of another issuer by its rules.

    Raises:
        InvalidTokenError: invalid_claims.
    """
    return read_claims(payload) if rules is None else read_openid_claims(payload, rules, header_typ)


def unverified_principal(token: bytes, rules: ClaimRules | None) -> Principal:
    """Return the caller that a token names, without any check: for reports, never to grant anything.

    Args:
        token: The compact JWS.
        rules: Where an issuer other than Entra puts its claims; None for Entra.

    Raises:
        InvalidTokenError: Its form or its claims are not a token's.
    """
    header_part, payload_part, signature_part, _input = split(token)
    claims = read_any_claims(decode(payload_part), rules, "")
    span = slice(len(header_part) + 1, -len(signature_part) - 1)
    return Principal(_identity(claims, claims.tid, span, 0.0), payload_part)


@lru_cache(maxsize=1024)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return one object for all equal ones: callers of one kind have the same roles, and they are many."""
    return names


def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    return names if len(names) > _MOST_SHARED else _shared(names)  # long ones are rarely equal


def _identity(claims: AnyClaims, tenant_id: str, payload: slice, leeway: float) -> Identity:
    is_app, oid = claims.is_app, claims.oid
    # In Entra a scope is a user's. Other issuers authorise applications by scopes too.
    scopes = () if is_app and type(claims) is not OpenIdClaims else _names(claims.scopes)
    return Identity(
        claims.app_id,
        tenant_id or claims.tid,
        oid,
        oid if claims.sub == oid else claims.sub,  # one object instead of two equal ones
        _names(claims.roles),
        scopes,
        "2.0" if claims.ver == "2.0" else claims.ver,
        is_app,
        False if is_app else claims.is_guest,
        claims.exp,
        claims.exp + leeway,
        claims.uti,
        payload,
        type(claims) is not OpenIdClaims,
    )


def facts_about(claims: AnyClaims, kid: str) -> dict[str, object]:
    """Return what the operator's log may say about any refused token: ids, never names."""
    facts = {"kid": kid, "tenant_id": claims.tid, "app_id": claims.app_id, "token_id": claims.uti}
    return {name: value for name, value in facts.items() if value}


def _time_facts(code: str, claims: AnyClaims, now: float, entra_ahead: float | None) -> dict[str, object]:
    """Return by how much a token is late or early, and whether this host's clock may be wrong."""
    moment = {"expired": claims.exp, "not_yet_valid": claims.nbf, "issued_in_future": claims.iat}[code]
    facts: dict[str, object] = {
        "expired_for_seconds" if code == "expired" else "early_by_seconds": round(abs(now - moment))
    }
    return facts if entra_ahead is None else facts | {"entra_clock_ahead_by_seconds": round(entra_ahead)}


def _facts(
    code: str,
    check_function: CheckFunction,
    kid: str,
    keys: ActiveKeys,
    case: tuple[Policy, Issuer, AnyClaims, KeyOrigin, float],
) -> dict[str, object]:
    check, case = _CHECK_OF[check_function], Case(*case)
    policy, issuer, claims, _key, now = case
    facts = {"expected": check.expected(case), "found": check.found(case)}
    if code == "wrong_issuer":  # also where the check of another claim found it
        facts = {"expected": issuer_expected(case), "found": claims.iss}
    if code in ABOUT_TIME:
        facts |= _time_facts(code, claims, now, keys.entra_ahead)
    if code == "id_token" and policy.accepted.isdisjoint({claims.aud} if isinstance(claims.aud, str) else ()):
        facts["hint"] = "it is for its client, and has no azp or appid: an ID token"
    if code in ("wrong_audience", "token_for_graph"):
        facts["nearest"] = nearest = nearest_audience(policy, claims)
        if issuer.is_entra:
            facts["hint"] = audience_hint(policy, claims, nearest, issuer.tenant_id)
            facts["request_scope"] = f"{policy.app_id_uri}/.default"
    return facts | facts_about(claims, kid)
