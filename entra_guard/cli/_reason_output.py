"""Show the reasons for refusals: all by status, or one with its causes and fixes."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from rich.text import Text

from entra_guard.cli._program import NAME, program_name
from entra_guard.cli._screen import NAME as NAME_STYLE
from entra_guard.cli._screen import QUIET
from entra_guard.cli.reason_guides import GUIDES, filled
from entra_guard.cli.reason_guides._pages import log_line
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from entra_guard.cli._screen import Screen
    from entra_guard.cli.reason_guides import Guide

STATUS_STYLES: Final = {400: "yellow", 401: "red", 403: "magenta", 503: "blue"}
_STATUSES: Final = {
    400: "the Authorization header cannot be read",
    401: "there is no valid token for this API",
    403: "the token is valid, but does not allow it",
    503: "it cannot be decided now; the client should try again",
}


_WHERE: Final = "On the running emulator; with --tenant <tenant id> in a real tenant."


def show_list(screen: Screen) -> None:
    """Show all reasons, grouped by status."""
    width = max(map(len, REASONS))
    for status, meaning in _STATUSES.items():
        style = STATUS_STYLES[status]
        screen.render(Text.assemble((str(status), f"bold {style}"), f"  {meaning}"))
        rows: list[tuple[str, str | Text]] = [
            (reason.name, reason.client) for reason in REASONS.values() if reason.status == status
        ]
        screen.name_values(rows, labels=width, style="bold")
        screen.blank_line()
    screen.text(f"All about one: {program_name()} reason <name>")


def show_reason(screen: Screen, code: str) -> None:
    """Show all about one reason."""
    reason, guide = REASONS[code], GUIDES[code]
    style = STATUS_STYLES[reason.status]
    screen.render(Text.assemble((str(reason.status), f"bold {style}"), "  ", (code, "bold")))
    screen.text(f"{reason.explanation} {reason.fix}", indent=2)
    screen.name_values([("client gets", reason.client)])
    _numbered(screen, "Usual causes", guide.causes)
    if guide.see:
        _heading(screen, "How to see it")
        _mixed(screen, guide.see)
    _show_fixes(screen, guide)
    _heading(screen, "In the log")
    screen.text(log_line(code), QUIET, indent=2)


def _show_fixes(screen: Screen, guide: Guide) -> None:
    commands = [("By our command line", guide.commands), ("By a setting of the guard", guide.settings)]
    for title, lines in (*commands, ("By the Azure CLI", guide.az)):
        if lines:
            _heading(screen, title)
            _commands(screen, lines)
        if any(line.startswith(f"{NAME} app ") for line in lines):
            screen.text(_WHERE, QUIET, indent=2)
    if guide.portal:
        _heading(screen, "In the admin center")
        screen.text(filled(guide.portal), indent=2)
    if guide.otherwise:
        _heading(screen, "Or" if guide.commands or guide.portal else "What to do")
        screen.text(filled(guide.otherwise), indent=2)


def _heading(screen: Screen, title: str) -> None:
    screen.blank_line()
    screen.text(title, f"bold {NAME_STYLE}")


def _numbered(screen: Screen, title: str, lines: Iterable[str]) -> None:
    _heading(screen, title)
    screen.name_values([(f"{number}.", filled(line)) for number, line in enumerate(lines, 1)])


def _mixed(screen: Screen, lines: Iterable[str]) -> None:
    for line in lines:
        if line.startswith("$ "):
            _commands(screen, [line[2:]])
        else:
            screen.text(line, indent=2)


def _commands(screen: Screen, lines: Iterable[str]) -> None:
    for line in lines:
        screen.verbatim(command_text(filled(line)), "yellow", indent=4)


def command_text(command: str) -> str:
    """Return a command as it can be pasted here."""
    return command.replace(f"{NAME} ", f"{program_name()} ", 1) if command.startswith(f"{NAME} ") else command


def reason_json(code: str) -> str:
    """Return all about one reason as JSON, with the placeholders of the pages: `<API>`, `<client>`."""
    guide = {name: _filled(value) for name, value in asdict(GUIDES[code]).items() if name != "facts"}
    reason = {name: value for name, value in asdict(REASONS[code]).items() if name != "args"}
    return json.dumps({**reason, **guide, "log": log_line(code)}, indent=2)


def _filled(value: str | tuple[str, ...]) -> str | list[str]:
    return filled(value) if isinstance(value, str) else [filled(line) for line in value]
