"""An explanation of a token, and a reason, on the screen. Judges nothing."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from entra_guard.cli._words import step_words, timed, words
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from entra_guard import Explanation, Step
    from entra_guard.cli._screen import Screen


_NAME: Final = 15
_EXPECTED: Final = 38
_TELLING: Final = ("expected", "found", "needs", "has", "nearest", "request_scope")
_BETWEEN: Final = {"expected": " or "}
_ABOUT_TIME: Final = frozenset({"expired", "not_yet_valid", "issued_in_future"})


def show_steps(screen: Screen, explanation: Explanation) -> None:
    """Show the checklist as a token went through it, line by line."""
    screen.put(Text(f"{'':{2 + screen.mark_width}}{'step':{_NAME}}{'expected':{_EXPECTED}}  found", "dim"))
    for step in explanation.steps:
        _show_step(screen, step)
    screen.say(*_outcome(explanation), indent=2)


def _outcome(explanation: Explanation) -> tuple[str, str]:
    """How it ended, and the style to say it in."""
    if explanation.accepted:
        return "accepted", "bold green"
    reason = REASONS[explanation.reason]
    how = "not judged" if reason.status == HTTPStatus.SERVICE_UNAVAILABLE else "refused"
    return f"{how}, {reason.status}: {reason.code}", "bold red"


def _show_step(screen: Screen, step: Step) -> None:
    expected, found = step_words(step)
    tone = {"pass": "", "fail": "bold red", "open": "dim"}[step.verdict]
    lead = Text.assemble("  ", screen.mark(step.verdict), (f"{step.name:{_NAME}}", tone))
    shown = Text(found, "dim" if found == "the same" else tone)
    screen.pair(lead, expected, shown, column=_EXPECTED, label="found")


def fact_rows(details: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The facts of a refusal that tell this case from others; ids are left to the log."""
    rows = [
        (name.replace("_", " "), words(details[name], _BETWEEN.get(name, ", ")))
        for name in _TELLING
        if details.get(name)
    ]
    return [(name, timed(text) if details["reason"] in _ABOUT_TIME else text) for name, text in rows]


def reason_rows(code: str, facts: Iterable[tuple[str, str]] = ()) -> list[tuple[str, str | Text]]:
    """What the operator is told about a refusal: the reason, this case's facts, and what to do."""
    reason = REASONS[code]
    return [
        ("reason", Text(code, "bold")),
        ("why", reason.explanation),
        *facts,
        ("what to do", Text(reason.fix, "yellow")),
    ]
