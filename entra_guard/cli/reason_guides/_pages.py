"""One reason as a section of docs/reasons.md, with a stable anchor: its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.cli.reason_guides import GUIDES, filled
from entra_guard.errors import refusal
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from entra_guard.cli.reason_guides import Guide


def sections_markdown(codes: Iterable[str] = REASONS) -> str:
    """Return a section for each reason in Markdown."""
    return "\n".join("\n".join(_section(code)) for code in codes)


def log_line(code: str) -> str:
    """Return an example of the line that a guard logs for a reason."""
    error = refusal(code, GUIDES[code].facts)
    return f"{error.status} GET /orders: {error.report()}"


def _section(code: str) -> Iterator[str]:
    reason, guide = REASONS[code], GUIDES[code]
    yield from (f"### {code}", "", f"**{reason.status}.** {reason.client}", "")
    yield from (_safe(f"{reason.explanation} {reason.fix}"), "", "Usual causes, the most frequent first:", "")
    yield from (f"{number}. {_safe(cause)}" for number, cause in enumerate(guide.causes, 1))
    yield ""
    if guide.see:
        yield from ("How to see it:", "", *_mixed(guide.see))
    yield from _fixes(guide)
    yield from ("In the log:", "", "```text", log_line(code), "```", "")


def _fixes(guide: Guide) -> Iterator[str]:
    if guide.commands:
        yield from ("Fix it with our command line:", "", *_block(guide.commands))
    if guide.settings:
        yield from ("Fix it by a setting of the guard:", "", *_block(guide.settings))
    if guide.portal:
        yield from (f"Fix it in the [admin center](https://entra.microsoft.com): {_safe(guide.portal)}", "")
    if guide.az:
        yield from ("Fix it with the Azure CLI:", "", *_block(guide.az))
    if not guide.portal:
        yield from ("The registration is not the cause.", "")
    if guide.otherwise:
        yield from (_safe(guide.otherwise), "")


def _mixed(lines: Iterable[str]) -> Iterator[str]:
    """Yield sentences, and commands in blocks."""
    block: list[str] = []
    for line in lines:
        if line.startswith("$ "):
            block.append(line[2:])
            continue
        if block:
            yield from _block(block)
            block = []
        yield from (_safe(line), "")
    if block:
        yield from _block(block)


def _block(commands: Iterable[str]) -> Iterator[str]:
    yield from ("```sh", *map(filled, commands), "```", "")


def _safe(text: str) -> str:
    """Fill in a text, so that Markdown reads no HTML in it."""
    return filled(text).replace("<", r"\<")
