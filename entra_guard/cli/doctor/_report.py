"""Show findings: aligned lines for a terminal or a pipe, or JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Final

from rich.text import Text

from entra_guard._escaping import escape
from entra_guard.cli._program import NAME, program_name
from entra_guard.cli._screen import QUIET, Screen, folded
from entra_guard.cli.doctor._finding import STATES
from entra_guard.credentials._token_errors import without_people

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entra_guard.cli.doctor._registry import Line

_VERDICTS: Final = {"ok": "pass", "warning": "warn", "failure": "fail", "skipped": "open"}
_STYLES: Final = {"ok": "", "warning": "yellow", "failure": "bold red", "skipped": QUIET}
_NOUNS: Final = {"failure": "failed", "warning": "with a warning", "ok": "ok", "skipped": "not checked"}
_MIN_ROOM: Final = 30
_LONGEST: Final = 1500
_LABEL: Final = "    fix  "
_CONTINUED: Final = " \\"
_OPTION: Final = re.compile(r" (?=--[a-z])")
_USER_INFO: Final = re.compile(r"://[^/?#\s]*@")
_CALL: Final = re.compile(rf"^{NAME} (?=[a-z])")


def show_report(screen: Screen, lines: Sequence[Line]) -> None:
    """Print each finding on its line, and below it what to do."""
    for section, found in groupby(lines, lambda line: line.section):
        rows = [*found]
        screen.heading(section)
        for line in rows:
            _show_line(screen, line, max(len(row.name) for row in rows))
    screen.blank_line()
    screen.text(*_summary(lines), indent=2)


def _show_line(screen: Screen, line: Line, names: int) -> None:
    finding = line.finding
    lead = Text.assemble(
        "  ", screen.mark(_VERDICTS[finding.state]), (f"{line.name:{names}}  ", _STYLES[finding.state])
    )
    style = QUIET if finding.state == "skipped" else ""
    for number, part in enumerate(_lines(safe_text(finding.found), screen.console.width - lead.cell_len)):
        first = lead if number == 0 else Text(" " * lead.cell_len)
        screen.render(Text.assemble(first, (part, style)))
    for detail in finding.details:
        for part in _lines(safe_text(detail), screen.console.width - lead.cell_len, indent=4):
            screen.verbatim(part, QUIET, indent=lead.cell_len)
    label = _LABEL
    for command in finding.fix:
        for part in _fix_lines(screen, command):
            screen.verbatim(f"{label}{part}", "yellow")
            label = " " * len(_LABEL)


def _fix_lines(screen: Screen, text: str) -> list[str]:
    """Return a fix as lines: on a terminal a sentence is wrapped, a command continues after a backslash."""
    shown = _CALL.sub(f"{program_name()} ", safe_text(text))
    room = screen.console.width - len(_LABEL)
    if screen.plain or len(shown) <= room:
        return [shown]
    is_sentence = shown.endswith(".") or shown.startswith("Portal:")
    return _lines(shown, room) if is_sentence else _continued(shown, room - len(_CONTINUED))


def _continued(command: str, room: int) -> list[str]:
    """Break a command before its options, so that it can still be copied."""
    lines: list[str] = []
    for part in _OPTION.split(command):
        if lines and len(lines[-1]) + 1 + len(part) <= room:
            lines[-1] += f" {part}"
        else:
            lines.append(part if not lines else f"    {part}")
    return [f"{line}{_CONTINUED}" for line in lines[:-1]] + lines[-1:]


def safe_text(text: str) -> str:
    """Return a text from elsewhere: escaped, cut, without passwords in URLs and without e-mail addresses."""
    return escape(without_people(_USER_INFO.sub("://", text)), longest=_LONGEST)


def _lines(text: str, room: int, *, indent: int = 0) -> list[str]:
    """Return a text as lines; the second and later ones are indented."""
    return folded(text, max(room, _MIN_ROOM), indent=indent) or [""]


def _summary(lines: Sequence[Line]) -> tuple[str, str]:
    """Return the last line and its style."""
    counts = Counter(line.finding.state for line in lines)
    words = ", ".join(f"{counts[state]} {_NOUNS[state]}" for state in STATES if counts[state])
    style = "bold red" if counts["failure"] else "yellow" if counts["warning"] else "bold green"
    return words, style


def as_json(lines: Sequence[Line]) -> str:
    """Return the findings as JSON: one object each, with the texts as the report has them."""
    counts = Counter(line.finding.state for line in lines)
    findings = [
        {
            "section": line.section,
            "check": line.name,
            "state": line.finding.state,
            "found": safe_text(line.finding.found),
            "fix": [safe_text(command) for command in line.finding.fix],
            "details": [safe_text(detail) for detail in line.finding.details],
        }
        for line in lines
    ]
    return json.dumps({"counts": {state: counts[state] for state in STATES}, "findings": findings}, indent=2)
