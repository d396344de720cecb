"""A token walked through the whole checklist for a reader, past the first failure. Holds no token.

Decides nothing of its own: every verdict comes from the functions that `Guard.verify` uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from entra_guard._validation import jws
from entra_guard._validation.checklist import POST_SIGNATURE_CHECKS, PRE_SIGNATURE_CHECKS, Case, Check
from entra_guard._validation.claims import Claims, read_claims, refuse_ambiguous
from entra_guard._validation.issuer import Issuer
from entra_guard._validation.jwks import KeyOrigin, SigningKey
from entra_guard.errors import AccessError, escape, printable
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._validation.active_keys import ActiveKeys
    from entra_guard.policy import Policy


@dataclass(frozen=True, slots=True)
class Step:
    """One line: what was asked, what was expected and found, and how it ended.

    Attributes:
        name: What was looked at.
        verdict: 'pass', 'fail', or 'open' where an earlier failure left nothing to judge.
        expected: In words or values.
        found: In words or values; never the token, its signature, or a person's name.
        reason: The code of the refusal, for 'fail'.
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
        reason: The code `verify` refuses with, or '' for a token that passes.
        facts: What `verify` tells with the reason: the nearest audience, the scope to request, ...
        steps: All steps, in order.
    """

    reason: str
    facts: Mapping[str, object]
    steps: tuple[Step, ...]

    @property
    def accepted(self) -> bool:
        """Whether `verify` lets the token pass."""
        return not self.reason

    def __str__(self) -> str:
        width = max((len(step.name) for step in self.steps), default=0)
        lines = [_line(step, width) for step in self.steps]
        if self.reason:
            reason = REASONS[self.reason]
            more = [
                f"{name}: {_words(value)}"
                for name, value in self.facts.items()
                if value and name not in _IN_STEPS
            ]
            lines += [f"refused, {reason.status}: {reason.name}"]
            lines += [f"  {line}" for line in (reason.explanation, reason.fix, *more)]
        else:
            lines += ["accepted"]
        return "\n".join(lines)


_IN_STEPS: Final = frozenset({"expected", "found"})


def _line(step: Step, width: int) -> str:
    mark = {"pass": "ok  ", "fail": "FAIL", "open": "-   "}[step.verdict]
    if step.verdict == "open":
        return f"{mark} {step.name:<{width}}  not judged"
    expected = f"expected {_words(step.expected)}, " if step.expected else ""
    return f"{mark} {step.name:<{width}}  {expected}found {_words(step.found)}"


def _words(value: object) -> str:
    """Return a value on one line, escaped: it may come from a forged token."""
    return escape(value) if isinstance(value, str) else printable(value)


def walk(token: bytes, policy: Policy, serving: ActiveKeys | None, now: float) -> tuple[Step, ...]:
    """Walk a token through all steps, with the keys at hand.

    Args:
        token: The compact JWS, as presented.
        policy: What is accepted.
        serving: The issuer and its keys; None if there are none.
        now: Seconds since the epoch.
    """
    try:
        header_part, payload_part, signature_part, signing_input = jws.split(token)
    except AccessError as error:
        return (_failed("form", "three base64url segments", error), *_open("header", "claims"), *_all_open())
    steps = [Step("form", "pass", "three base64url segments", f"three, {len(token)} bytes together")]
    header = _header(header_part, policy, steps)
    claims = _claims(payload_part, steps)
    if claims is None:
        return (*steps, *_all_open())
    if serving is None:
        return (*steps, *_without_issuer(policy, claims, now))
    steps += [
        _judged(check, (policy, serving.issuer, claims, KeyOrigin(), now)) for check in PRE_SIGNATURE_CHECKS
    ]
    key = serving.by_kid.get(header.kid) if header else None
    if header is None or key is None:
        missing = Step("key", "fail", sorted(serving.by_kid), header.kid, "unknown_key") if header else None
        after = _open("signature", *(check.name for check in POST_SIGNATURE_CHECKS))
        return (*steps, missing or Step("key", "open"), *after)
    steps.append(Step("key", "pass", "a key of the issuer", header.kid))
    steps.append(_signature(key, header, signing_input, signature_part))
    case = (policy, serving.issuer, claims, key.origin, now)
    return (*steps, *(_judged(check, case) for check in POST_SIGNATURE_CHECKS))


def _without_issuer(policy: Policy, claims: Claims, now: float) -> tuple[Step, ...]:
    """Judge what can be judged where no issuer is known: the token's time, version and audience."""
    case = (policy, Issuer("", v1="not known"), claims, KeyOrigin(), now)
    gate = [
        Step(check.name, "open") if check.name == "issuer" else _judged(check, case)
        for check in PRE_SIGNATURE_CHECKS
    ]
    return (*gate, *_open("key", "signature", *(check.name for check in POST_SIGNATURE_CHECKS)))


def _header(segment: bytes, policy: Policy, steps: list[Step]) -> jws.Header | None:
    expected = " or ".join(sorted(policy.algorithms))
    try:
        header = jws.read_header(segment, policy.algorithms)
        jws.refuse_ambiguous_header(segment)
    except AccessError as error:
        steps.append(_failed("header", f"{expected}, and a kid", error))
        return None
    steps.append(Step("header", "pass", f"{expected}, and a kid", f"{header.alg}, kid {header.kid}"))
    return header


def _claims(segment: bytes, steps: list[Step]) -> Claims | None:
    expected = "one JSON object, each name once, exact types"
    try:
        payload = jws.decode(segment)
        claims = read_claims(payload)
        refuse_ambiguous(payload)
    except AccessError as error:
        steps.append(_failed("claims", expected, error))
        return None
    steps.append(Step("claims", "pass", expected, "just that"))
    return claims


def _signature(key: SigningKey, header: jws.Header, signing_input: bytes, segment: bytes) -> Step:
    try:
        holds = jws.signature_holds(key, header.alg, signing_input, jws.decode(segment))
    except AccessError as error:
        return _failed("signature", "holds", error)
    if holds:
        return Step("signature", "pass", "holds", "holds")
    return Step("signature", "fail", "holds", "does not hold", "bad_signature")


def _judged(check: Check, case: Case) -> Step:
    reason = check.decide(*case)
    return Step(check.name, "fail" if reason else "pass", check.expected(*case), check.found(*case), reason)


def _failed(name: str, expected: str, error: AccessError) -> Step:
    return Step(name, "fail", expected, error.facts.get("found", error.facts), error.reason)


def _open(*names: str) -> tuple[Step, ...]:
    return tuple(Step(name, "open") for name in names)


def _all_open() -> tuple[Step, ...]:
    names = (
        [check.name for check in PRE_SIGNATURE_CHECKS],
        ["key", "signature"],
        [check.name for check in POST_SIGNATURE_CHECKS],
    )
    return _open(*(name for group in names for name in group))
