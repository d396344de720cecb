"""A check and its finding: what was found, and what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.cli.doctor._facts import Facts

State = Literal["ok", "warning", "failure", "skipped"]
STATES: Final[tuple[State, ...]] = ("failure", "warning", "ok", "skipped")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        state: 'ok', 'warning', 'failure', or 'skipped' where it could not be checked.
        found: What was found, on one line. May hold text of a server: it is escaped where it is shown.
        fix: What to do, one command or portal path in each line; empty if nothing needs to be done.
        details: More of what was found, one line each.
    """

    state: State
    found: str
    fix: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report.

    Attributes:
        section: The heading it belongs to.
        name: What is checked.
        run: Returns the finding from collected facts, or None where the check does not apply.
    """

    section: str
    name: str
    run: Callable[[Facts], Finding | None]


def ok(found: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding("ok", found)


def warning(found: str, *fix: str) -> Finding:
    """Return a finding that works today, and may not tomorrow."""
    return Finding("warning", found, fix)


def failure(found: str, *fix: str) -> Finding:
    """Return a finding that makes the guard refuse tokens, or calls fail."""
    return Finding("failure", found, fix)


def skipped(why: str) -> Finding:
    """Return the finding of a check that could not run."""
    return Finding("skipped", f"not checked: {why}")


def counted(number: int, thing: str) -> str:
    """Return a number with its noun: '1 key', '3 keys'."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
