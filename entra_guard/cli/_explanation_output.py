"""Show an explanation of a token, and the reason for a refusal."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from entra_guard._validation.explain import IN_STEPS
from entra_guard._validation.validate import ABOUT_TIME
from entra_guard.cli._formatting import format_duration, format_step, format_times_in, format_value
from entra_guard.cli._screen import BAD, QUIET, TwoValues
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from entra_guard import Explanation, Step
    from entra_guard.cli._screen import Screen

_BETWEEN: Final = {"expected": " or "}
TONES: Final = {"pass": "", "fail": f"bold {BAD}", "open": QUIET}


def show_steps(screen: Screen, explanation: Explanation) -> None:
    """Show the result of every check, line by line."""
    width = max(len(step.name) for step in explanation.steps)
    head = TwoValues(
        Text(f"{'':{2 + screen.mark_width}}{'step':{width}}  ", QUIET),
        "expected",
        "found, if different",
        QUIET,
    )
    screen.two_columns(head, [_step_row(screen, step, width) for step in explanation.steps])
    screen.text(*_outcome(explanation), indent=2)


def _outcome(explanation: Explanation) -> tuple[str, str]:
    """Return the outcome and its style."""
    if explanation.accepted:
        return "accepted", "bold green"
    reason = REASONS[explanation.reason]
    how = "not checked" if reason.status == HTTPStatus.SERVICE_UNAVAILABLE else "refused"
    return f"{how}, {reason.status}: {reason.name}", "bold red"


def _step_row(screen: Screen, step: Step, width: int) -> TwoValues:
    tone = TONES[step.verdict]
    lead = Text.assemble("  ", screen.mark(step.verdict), (f"{step.name:{width}}  ", tone))
    return TwoValues(lead, *format_step(step), tone)


def fact_rows(
    reason: str, facts: Mapping[str, Any], names: Iterable[str] | None = None
) -> list[tuple[str, str]]:
    """Return the facts of a refusal as rows.

    Args:
        reason: The refusal's code.
        facts: Its facts.
        names: The facts to show, in order; by default all that the checklist does not show.
    """
    shown = (name for name in facts if name not in IN_STEPS) if names is None else names
    return [_fact_row(reason, name, facts[name]) for name in shown if facts.get(name) or facts.get(name) == 0]


def _fact_row(reason: str, name: str, value: Any) -> tuple[str, str]:
    label = name.removesuffix("_seconds").replace("_", " ")
    if name.endswith("_seconds"):
        return label, format_duration(value)
    text = format_value(value, _BETWEEN.get(name, ", "))
    return label, format_times_in(text) if name in IN_STEPS and reason in ABOUT_TIME else text


def reason_rows(code: str, facts: Iterable[tuple[str, str]] = ()) -> list[tuple[str, str | Text]]:
    """Return a refusal as rows for the operator: the reason, the facts of this case, and the fix."""
    reason = REASONS[code]
    return [
        ("reason", Text(code, "bold")),
        ("why", reason.explanation),
        *facts,
        ("what to do", Text(reason.fix, "yellow")),
    ]
