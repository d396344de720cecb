"""Check a token against the whole checklist for a reader, past the first failure. Keeps no token.

Decides nothing itself: every verdict comes from the functions that `Guard.verify` uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from entra_guard._escaping import escape, printable
from entra_guard._validation import jws
from entra_guard._validation.checklist import POST_SIGNATURE_CHECKS, PRE_SIGNATURE_CHECKS, Case, Check
from entra_guard._validation.claims import refuse_ambiguous
from entra_guard._validation.issuer import Issuer
from entra_guard._validation.jwks import KeyOrigin, SigningKey
from entra_guard._validation.validate import read_any_claims
from entra_guard.errors import AccessError
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._validation.active_keys import ActiveKeys
    from entra_guard._validation.openid_claims import AnyClaims, ClaimRules
    from entra_guard.policy import Policy

IN_STEPS: Final = frozenset({"expected", "found"})


@dataclass(frozen=True, slots=True)
class Step:
    """One check: its name, what was expected and found, and how it ended.

    Attributes:
        name: What was checked.
        verdict: 'pass', 'fail', or 'open' where an earlier failure left nothing to check.
        expected: In words or values.
        found: In words or values; never the token, its signature, or a person's name.
        reason: The reason of the refusal, for 'fail'.
    """

    name: str
    verdict: str
    expected: object = ""
    found: object = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `Guard.explain` found: every step, and why the token is refused, if it is.

    Attributes:
        reason: The reason `verify` refuses with, or '' for a token that passes.
        facts: What `verify` reports with the reason: the nearest audience, the scope to request, ...
        steps: All steps, in order.
    """

    reason: str
    facts: Mapping[str, object]
    steps: tuple[Step, ...]

    @property
    def accepted(self) -> bool:
        """Whether `verify` accepts the token."""
        return not self.reason

    def __str__(self) -> str:
        width = max((len(step.name) for step in self.steps), default=0)
        lines = [_line(step, width) for step in self.steps]
        if self.reason:
            reason = REASONS[self.reason]
            more = [
                f"{name}: {_words(value)}"
                for name, value in self.facts.items()
                if value and name not in IN_STEPS
            ]
            lines += [f"refused, {reason.status}: {reason.name}"]
            lines += [f"  {line}" for line in (reason.explanation, reason.fix, *more)]
        else:
            lines += ["accepted"]
        return "\n".join(lines)


def _line(step: Step, width: int) -> str:
    mark = {"pass": "ok  ", "fail": "FAIL", "open": "-   "}[step.verdict]
    if step.verdict == "open":
        return f"{mark} {step.name:<{width}}  not checked"
    expected = f"expected {_words(step.expected)}, " if step.expected else ""
    return f"{mark} {step.name:<{width}}  {expected}found {_words(step.found)}"


def _words(value: object) -> str:
    """Return a value on one line, escaped: it may come from a forged token."""
    return escape(value) if isinstance(value, str) else printable(value)


def walk(
    token: bytes, policy: Policy, keys: ActiveKeys | None, now: float, rules: ClaimRules | None
) -> tuple[Step, ...]:
    """Run all steps on a token, with the cached keys.

    Args:
        token: The compact JWS, as presented.
        policy: What is accepted.
        keys: The issuer and its keys; None if there are none.
        now: Seconds since the epoch.
        rules: Where an issuer other than Entra puts its claims; None for Entra.
    """
    try:
        header_part, payload_part, signature_part, signing_input = jws.split(token)
    except AccessError as error:
        return (_failed("form", "three base64url segments", error), *_open("header", "claims"), *_all_open())
    steps = [Step("form", "pass", "three base64url segments", f"three, {len(token)} bytes together")]
    header = _header(header_part, policy, rules, steps)
    claims = _claims(payload_part, rules, header.typ if header else "", steps)
    if claims is None:
        return (*steps, *_all_open())
    if keys is None:
        return (*steps, *_without_issuer(policy, claims, now, is_entra=rules is None))
    before = Case(policy, keys.issuer, claims, KeyOrigin(), now)
    steps += [_checked(check, before) for check in PRE_SIGNATURE_CHECKS]
    key = _key_of(header, keys) if header else None
    if header is None or key is None:
        missing = Step("key", "fail", sorted(keys.by_kid), header.kid, "unknown_key") if header else None
        after = _without({"key origin"}, POST_SIGNATURE_CHECKS, before)
        return (*steps, missing or Step("key", "open"), Step("signature", "open"), *after)
    steps.append(Step("key", "pass", "a key of the issuer", header.kid or "the only key"))
    steps.append(_signature(key, header, signing_input, signature_part))
    case = Case(policy, keys.issuer, claims, key.origin, now)
    return (*steps, *(_checked(check, case) for check in POST_SIGNATURE_CHECKS))


def _key_of(header: jws.Header, keys: ActiveKeys) -> SigningKey | None:
    return keys.by_kid.get(header.kid) or keys.key_without_kid(header.kid, header.alg)


def _without_issuer(policy: Policy, claims: AnyClaims, now: float, *, is_entra: bool) -> tuple[Step, ...]:
    """Check what can be checked without keys: all but the issuer, the key and the signature."""
    case = Case(policy, Issuer("", v1="not known", is_entra=is_entra), claims, KeyOrigin(), now)
    unknown = {"issuer", "key origin"} | (set[str]() if policy.tenants.ids else {"tenant"})

    after = _without(unknown, POST_SIGNATURE_CHECKS, case)
    return (*_without(unknown, PRE_SIGNATURE_CHECKS, case), *_open("key", "signature"), *after)


def _without(unknown: set[str], checks: tuple[Check, ...], case: Case) -> list[Step]:
    """Run all checks but those for which something is not known."""
    return [Step(each.name, "open") if each.name in unknown else _checked(each, case) for each in checks]


def _header(segment: bytes, policy: Policy, rules: ClaimRules | None, steps: list[Step]) -> jws.Header | None:
    kid_is_optional = rules is not None and not rules.is_b2c
    expected = " or ".join(sorted(policy.algorithms)) + ("" if kid_is_optional else ", and a kid")
    try:
        header = jws.read_header(segment, policy.algorithms, kid_is_optional=kid_is_optional)
        jws.refuse_ambiguous_header(segment)
    except AccessError as error:
        steps.append(_failed("header", expected, error))
        return None
    steps.append(Step("header", "pass", expected, f"{header.alg}, kid {header.kid or 'absent'}"))
    return header


def _claims(segment: bytes, rules: ClaimRules | None, header_typ: str, steps: list[Step]) -> AnyClaims | None:
    expected = "one JSON object, each name once, exact types"
    try:
        payload = jws.decode(segment)
        claims = read_any_claims(payload, rules, header_typ)
        if rules is None:
            refuse_ambiguous(payload)
    except AccessError as error:
        steps.append(_failed("claims", expected, error))
        return None
    steps.append(Step("claims", "pass", expected, "as expected"))
    return claims


def _signature(key: SigningKey, header: jws.Header, signing_input: bytes, segment: bytes) -> Step:
    try:
        is_valid = jws.is_signed_by(key, header.alg, signing_input, jws.decode(segment))
    except AccessError as error:
        return _failed("signature", "valid", error)
    if is_valid:
        return Step("signature", "pass", "valid", "valid")
    return Step("signature", "fail", "valid", "invalid", "bad_signature")


def _checked(check: Check, case: Case) -> Step:
    reason = check.decide(*case)
    return Step(check.name, "fail" if reason else "pass", check.expected(case), check.found(case), reason)


def _failed(name: str, expected: str, error: AccessError) -> Step:
    return Step(name, "fail", expected, error.facts.get("found", error.facts), error.reason)


def _open(*names: str) -> tuple[Step, ...]:
    return tuple(Step(name, "open") for name in names)


def _all_open() -> tuple[Step, ...]:
    before = (check.name for check in PRE_SIGNATURE_CHECKS)
    after = (check.name for check in POST_SIGNATURE_CHECKS)
    return _open(*before, "key", "signature", *after)
