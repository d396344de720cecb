"""What `entra-guard explain` reports about one token, as values: for the terminal, for JSON, and to share."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from entra_guard._common.json_values import as_object
from entra_guard._validation import jws
from entra_guard.cli._claim_table import PERSONAL, claim_table, format_claim, other_claims
from entra_guard.cli._explanation_output import fact_rows
from entra_guard.cli._formatting import format_step, format_value
from entra_guard.cli._route_steps import NAME as ROUTE
from entra_guard.cli._route_steps import route_steps, unverified
from entra_guard.cli._share import Redactor, is_public_host, looks_personal, parts_of
from entra_guard.cli._target_options import target_options
from entra_guard.cli.reason_guides._remedy import known_values, remedy
from entra_guard.errors import AccessError
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from entra_guard._guard.verifier import IssuerVerifier
    from entra_guard._validation.explain import Explanation, Step
    from entra_guard.cli.reason_guides._remedy import Remedy
    from entra_guard.principal import Principal
    from entra_guard.requirement import Requirement

_NO_IDS: Final = frozenset({"", "none", "None", "True", "False", "true", "false"})
_PROSE: Final = frozenset({"detail", "advice", "last error"})
_NOT_SHOWN: Final = frozenset({"is_app", "is_guest", "request_scope"})  # the remedy has the last one
# Their fixes grant a role.
_GRANT_ROLE: Final = frozenset({"no_permissions", "missing_role", "app_token_required"})
# Their fixes bring a token for another API, tenant or caller.
_OTHER_TOKEN: Final = frozenset(
    {"wrong_audience", "token_for_graph", "id_token", "wrong_tenant", "wrong_issuer", "wrong_cloud"}
    | {"personal_account", "app_token_required", "user_token_required", "agent_not_allowed", "agent_required"}
)
_PERMISSIONS: Final = frozenset({"no_permissions", "missing_role", "missing_scope"})
_IDENTIFYING: Final = frozenset(
    {"sub", "uti", "sid", "oid", "kid", "x5t", "azp", "client_id", "cid", "appid", "tid", "aud", "iss"}
    | {"idp", "groups", "wids", "cnf"}
)
# Claims whose values are the same in all tenants. Another value is treated as an id.
_VOCABULARY: Final = {
    "alg": r"[A-Z]{2}\d{3}|none|dir",
    "typ": r"(application/)?(at\+)?jwt|JWT",
    "ver": r"[12]\.0",
    "idtyp": "app|user",
    "acct": "[01]",
    "azpacr": "[012]",
    "appidacr": "[012]",
    "acrs": r"c\d{1,2}|p\d",
    "xms_cc": "cp1",
} | dict.fromkeys(("iat", "nbf", "exp", "auth_time"), r"\d+(\.\d+)?")


class _Explaining(Protocol):
    def explain(self, token: str | bytes) -> Explanation: ...


@dataclass(frozen=True, slots=True)
class StepRow:
    """One check: its name, how it ended ('pass', 'fail', 'open'), and what was expected and found."""

    name: str
    verdict: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Report:
    """What is known about a token.

    Attributes:
        reason: The reason of the refusal; '' if the token is accepted.
        status: The HTTP status of the response.
        explanation: What the reason means.
        facts: The facts of this case, by label.
        remedy: What to do; None if the token is accepted.
        next: What would happen next, once this is fixed.
        claims: Name, value and meaning of each claim. Unverified, if the signature check did not pass.
        other_claims: Names of the claims whose values are not shown.
        steps: All checks, in order.
    """

    reason: str
    status: int
    explanation: str
    facts: tuple[tuple[str, str], ...]
    remedy: Remedy | None
    next: str
    claims: tuple[tuple[str, str, str], ...]
    other_claims: tuple[str, ...]
    steps: tuple[StepRow, ...]

    @property
    def accepted(self) -> bool:
        """Whether the token is accepted."""
        return not self.reason

    @property
    def is_verified(self) -> bool:
        """Whether the signature was verified, so that the claims are Entra's."""
        return any(step.name == "signature" and step.verdict == "pass" for step in self.steps)


def report_on(
    token: str, verifier: _Explaining, guard: IssuerVerifier, requirement: Requirement | None, now: float
) -> Report:
    """Check a token and return the report.

    Args:
        token: The compact JWS.
        verifier: Explains the token: the guard, or several combined.
        guard: The guard whose settings the fix is for.
        requirement: What a route requires in addition; None if nothing.
        now: Seconds since 1970.
    """
    explanation = verifier.explain(token)
    claims = unverified_claims(token)
    reason, facts, steps = explanation.reason, explanation.facts, list(explanation.steps)
    if requirement is not None:
        reason, facts, of_route = _of_route(token, verifier, guard, requirement, explanation)
        steps += of_route
    found = REASONS.get(reason)
    values = known_values(guard.policy, claims, facts, requirement)
    return Report(
        reason,
        found.status if found else 200,
        found.explanation if found else "",
        tuple(_facts(reason, facts)) if reason else (),
        _remedy(guard, reason, values, facts, claims) if reason else None,
        _next(reason, steps, values["role"]) if reason else "",
        tuple(claim_table(claims, now)),
        tuple(other_claims(claims)),
        tuple(StepRow(step.name, step.verdict, *format_step(step)) for step in steps),
    )


def _remedy(
    guard: IssuerVerifier,
    reason: str,
    values: Mapping[str, str],
    facts: Mapping[str, Any],
    claims: Mapping[str, Any],
) -> Remedy:
    """Return what to do; for an issuer other than Entra only what the guard itself can change."""
    if guard.authority.is_entra:
        target = target_options(guard.authority.url, guard.policy.tenants.alias)
        return remedy(reason, values, facts, claims, target)
    found = remedy(reason, values, facts, claims)
    return replace(found, causes=(), sentences=(), commands=(), portal="")


def unverified_claims(token: str) -> dict[str, Any]:
    """Return the claims of a token without any check; none if it is not a token."""
    try:
        claims: Any = json.loads(jws.decode(jws.split(token.encode())[1]))
    except (AccessError, ValueError, RecursionError):
        return {}
    return as_object(claims)


def _of_route(
    token: str, verifier: Any, guard: IssuerVerifier, requirement: Requirement, explanation: Explanation
) -> tuple[str, Mapping[str, object], list[Step]]:
    """Check what a route requires; return the first refusal, its facts, and a step for each requirement."""
    reason, facts = explanation.reason, explanation.facts
    if reason:
        principal = unverified(token, getattr(verifier, "guards", (guard,)))
        return reason, facts, route_steps(requirement, principal)
    principal = _verified(verifier, token)
    refused = requirement.refusal_of(principal)
    steps = route_steps(requirement, principal)
    return (reason, facts, steps) if refused is None else (refused.reason, refused.facts, steps)


def _verified(verifier: Any, token: str) -> Principal:
    """Return the caller; in an event loop if the rule of the tenants needs one."""
    import anyio  # noqa: PLC0415

    principal: Principal = (
        anyio.run(verifier.averify, token) if verifier.needs_event_loop else verifier.verify(token)
    )
    return principal


def _facts(reason: str, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = [name for name in facts if name not in _NOT_SHOWN]
    return fact_rows(reason, facts, names)


def _next(reason: str, steps: Sequence[Step], granted: str) -> str:
    """Return in words what would be refused next.

    Args:
        reason: The refusal's reason.
        steps: All checks, in order.
        granted: The role that the fix grants.
    """
    is_fixed = _fixed_by(reason, steps, granted)
    open_steps: list[str] = []
    for step in steps:
        if step.verdict == "open":
            open_steps.append(step.name)
        elif step.verdict == "fail" and not is_fixed(step):
            return _next_failure(reason, step, open_steps)
    if open_steps:
        names = ", ".join(dict.fromkeys(open_steps))
        return f"the next failure is not known: {names} could not be checked yet"
    return "all other checks pass"


def _next_failure(reason: str, step: Step, open_steps: Sequence[str]) -> str:
    """Return in words which check fails next, and on what that depends."""
    following = REASONS[step.reason]
    is_named = step.name == ROUTE and step.reason in {"missing_role", "missing_scope"}
    needs = f" for {format_value(step.expected)}" if is_named else ""
    names = " or ".join(dict.fromkeys(open_steps))
    unless = [f"unless {names} fails (not checked yet), "] if names else []
    if _is_about_another_token(reason, step):
        unless.append("unless the new token has other permissions, ")
    why = following.explanation.removesuffix(".")
    words = f"the next failure would be {following.name} ({following.status}){needs}: {why}"
    return f"{'and '.join(unless)}{words}"


def _is_about_another_token(reason: str, step: Step) -> bool:
    """Return whether the fix brings a token of another kind, with permissions that this one does not show."""
    return reason in _OTHER_TOKEN and step.reason in _PERMISSIONS


def _fixed_by(reason: str, steps: Sequence[Step], granted: str) -> Callable[[Step], bool]:
    """Return whether the fix of a reason also fixes another failed check."""
    first = next((step for step in steps if step.name == ROUTE and step.reason == reason), None)
    role = f"role {granted}"

    def is_fixed(step: Step) -> bool:
        if step.name != ROUTE:
            return step.reason == reason
        if reason in _GRANT_ROLE:
            return step is first or step.expected == role
        return step is first

    return is_fixed


def redacted(report: Report, redactor: Redactor, token: str) -> Report:
    """Return a report without ids, hosts and names of this tenant."""
    deep, claims = redactor.deep, unverified_claims(token)
    fix = report.remedy and replace(
        report.remedy, **{name: _tuples(deep(value)) for name, value in asdict(report.remedy).items()}
    )
    return replace(
        report,
        facts=tuple(
            (label, redactor.prose(text) if label in _PROSE else redactor.text(text))
            for label, text in report.facts
        ),
        remedy=fix,
        next=redactor.text(report.next),
        claims=tuple(
            (name, _shared(redactor, name, claims[name], value), meaning)
            for name, value, meaning in report.claims
        ),
        other_claims=(),
        steps=tuple(
            replace(step, expected=_expected(redactor, step), found=redactor.text(step.found))
            for step in report.steps
        ),
    )


def _expected(redactor: Redactor, step: StepRow) -> str:
    """Return what a check expected; the ids of an issuer's keys may be those of one tenant only."""
    if step.name == "key" and step.verdict == "fail":
        return " or ".join(map(redactor.value, step.expected.split(" or ")))
    return redactor.text(step.expected)


def _shared(redactor: Redactor, name: str, claim: Any, shown: str) -> str:
    """Return the value of a claim for a report in public, cut after ids were replaced."""
    if name in _IDENTIFYING or not _is_common(name, claim):
        return format_claim(redactor.value(claim))
    return shown if name in _VOCABULARY else format_claim(redactor.deep(claim))


def _is_common(name: str, claim: Any) -> bool:
    known = _VOCABULARY.get(name)
    return known is None or all(re.fullmatch(known, text) for text in _texts(claim))


def _texts(value: Any) -> list[str]:
    """Return all texts and numbers in a claim, also those in lists and objects."""
    if isinstance(value, dict):
        value = [*value, *value.values()]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]  # pyright: ignore[reportUnknownVariableType]
    return [str(value)]


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def sensitive_values(token: str, guard: IssuerVerifier, requirement: Requirement | None = None) -> set[str]:
    """Return what identifies a tenant, an application or a person, and is not a GUID or a host.

    Names of roles and scopes are the developer's own and needed to help: they stay, unless they look
    personal.
    """
    claims, header, policy = unverified_claims(token), _header(token), guard.policy
    ids = {
        text
        for name, claim in (claims | header).items()
        if name in _IDENTIFYING | PERSONAL or not _is_common(name, claim)
        for text in _texts(claim)
    }
    required = [*requirement.scopes, *requirement.roles, requirement.auth_context] if requirement else []
    texts = [*_texts(claims), *_texts(header), *required]
    personal = {word for text in texts for word in (text, *text.split()) if looks_personal(word)}
    configured = (*policy.audiences, *(policy.allowed_clients or ()))
    names = {name.partition("://")[2] or name for name in configured}
    names |= personal | {part for value in ids for part in parts_of(value)}
    tenants = {policy.tenants.alias, *policy.tenants.ids} - {"common", "organizations", "consumers"}
    host = guard.authority.url.partition("://")[2].partition("/")[0]
    own = names | tenants | {"" if is_public_host(host) else host}
    return {form for value in own for form in Redactor.forms(value)} - _NO_IDS


def _header(token: str) -> dict[str, Any]:
    """Return the header of a token without any check; empty if it is not a token."""
    try:
        header: Any = json.loads(jws.decode(jws.split(token.encode())[0]))
    except (AccessError, ValueError, RecursionError):
        return {}
    return as_object(header)


def as_json(report: Report) -> str:
    """Return a report as JSON."""
    content = asdict(report)
    claims = [{"name": name, "value": value, "meaning": meaning} for name, value, meaning in report.claims]
    more = {"accepted": report.accepted, "claims_verified": report.is_verified, "facts": dict(report.facts)}
    return json.dumps({**more, **content, "facts": dict(report.facts), "claims": claims}, indent=2)
