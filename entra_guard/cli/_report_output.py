"""Show the report of `entra-guard explain` on a terminal or in a pipe."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from rich.text import Text

from entra_guard.cli._explanation_output import TONES
from entra_guard.cli._program import program_name
from entra_guard.cli._reason_output import command_text
from entra_guard.cli._screen import BAD, GOOD, NAME, QUIET, TwoValues
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entra_guard.cli._explain_report import Report, StepRow
    from entra_guard.cli._screen import Screen
    from entra_guard.cli.reason_guides._remedy import Remedy

_WIDE: Final = 100
_LABELS: Final = 22


def show_report(screen: Screen, report: Report) -> None:
    """Show the verdict, what to do, the claims, and every check, in this order."""
    if report.accepted:
        screen.text("Accepted.", f"bold {GOOD}")
    else:
        _show_refusal(screen, report)
    if report.claims:
        screen.heading("Claims" if report.is_verified else "Claims, not verified")
        show_claims(screen, report.claims, report.other_claims)
    screen.heading("Checks")
    widest = max(len(line) for step in report.steps for line in step.expected.splitlines() or [""])
    if screen.console.width >= max(_WIDE, 2 * widest + _LABELS):
        _show_steps_side_by_side(screen, report.steps)
        return
    for step in report.steps:
        _show_step(screen, step)


def _show_steps_side_by_side(screen: Screen, steps: Sequence[StepRow]) -> None:
    width = max(len(step.name) for step in steps)
    head = TwoValues(
        Text(f"{'':{2 + screen.mark_width}}{'check':{width}}  ", QUIET), "expected", "found", QUIET
    )
    rows: list[TwoValues] = []
    for step in steps:
        tone = TONES[step.verdict]
        lead = Text.assemble("  ", screen.mark(step.verdict), (f"{step.name:{width}}  ", tone))
        found = "" if step.verdict == "open" else step.found or step.expected
        rows.append(TwoValues(lead, step.expected, found, tone))
    screen.two_columns(head, rows)


def _show_refusal(screen: Screen, report: Report) -> None:
    how = "Not checked" if report.status == HTTPStatus.SERVICE_UNAVAILABLE else "Refused"
    screen.text(f"{how} with {report.status}: {report.reason}", f"bold {BAD}")
    screen.text(report.explanation, indent=2)
    screen.blank_line()
    screen.name_values(report.facts)
    if report.remedy is not None:
        screen.heading("What to do")
        _show_remedy(screen, report.remedy, report.reason)
    screen.blank_line()
    screen.text(f"After this is fixed, {report.next}.", indent=2)
    screen.text(f"More about {report.reason}: {program_name()} reason {report.reason}", QUIET, indent=2)


def _show_remedy(screen: Screen, remedy: Remedy, reason: str) -> None:
    for sentence in remedy.sentences or (REASONS[reason].fix,):
        screen.text(sentence, indent=2)
    for command in remedy.commands:
        screen.verbatim(command_text(command), "yellow", indent=4)
    if remedy.settings:
        screen.text("Or by a setting of the guard:" if remedy.commands else "As a setting:", indent=2)
        for setting in remedy.settings:
            screen.verbatim(setting, "yellow", indent=4)
    if remedy.portal:
        screen.text(f"In the admin center: {remedy.portal}", indent=2)


def show_claims(screen: Screen, claims: Sequence[tuple[str, str, str]], others: Sequence[str]) -> None:
    """Show claims with their meanings: as a table, or below each other on a narrow screen.

    Args:
        screen: The screen.
        claims: Name, value and meaning of each.
        others: Names of claims whose values are not shown.
    """
    if screen.is_narrow:
        for name, value, meaning in claims:
            screen.render(Text.assemble((f"{name:10}", NAME), (meaning, QUIET)), indent=2)
            screen.text(value, indent=12)
    else:
        rows = [(Text(name, NAME), Text(meaning, QUIET), value) for name, value, meaning in claims]
        screen.table(("claim", "means", "value"), rows)
    if others:
        screen.text(f"Not shown: {', '.join(others)}", QUIET, indent=2)


def _show_step(screen: Screen, step: StepRow) -> None:
    """Show a check: its name, and below it what was expected and found."""
    tone = TONES[step.verdict]
    if step.verdict == "open":
        screen.render(Text.assemble("  ", screen.mark("open"), (f"{step.name}: not checked", QUIET)))
        return
    screen.render(Text.assemble("  ", screen.mark(step.verdict), (step.name, tone)))
    found = step.found or step.expected
    rows = [("expected", Text(step.expected, tone)), ("found", Text(found, tone))]
    screen.name_values(rows, indent=2 + screen.mark_width)
