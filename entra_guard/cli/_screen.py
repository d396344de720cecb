"""What a command shows: laid out with rich where a person looks, plain ASCII lines where a pipe does.

Knows how things look, and nothing of what they mean. Piped output is never wrapped, so that an id, a
URL or a command can be cut out of it whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_UNWRAPPED: Final = 100_000
_READABLE: Final = 110
GOOD: Final = "green"
BAD: Final = "red"
QUIET: Final = "dim"
STRONG: Final = "bold"
NAME: Final = "cyan"


class Screen:
    """Writes to standard output.

    Args:
        console: Where to; by default standard output as it is now.
    """

    def __init__(self, console: Console | None = None) -> None:
        found = console or Console(highlight=False)
        self.plain: Final = not found.is_terminal or not found.encoding.startswith("utf")
        width = _UNWRAPPED if self.plain else min(found.width, _READABLE)
        self.console: Final = found
        self.console.width = width

    def put(self, thing: RenderableType, *, indent: int = 0) -> None:
        """Show anything rich can show."""
        shown = Padding(thing, (0, 0, 0, indent), expand=False) if indent else thing
        if not self.plain:
            self.console.print(shown)
            return
        with self.console.capture() as capture:
            self.console.print(shown)
        for line in capture.get().splitlines():
            click.echo(line.rstrip())

    def gap(self) -> None:
        """Leave a line empty."""
        self.console.print()

    def title(self, text: str, below: str) -> None:
        """Open the show."""
        if self.plain:
            self.put(Text(f"{text}\n{below}"))
            return
        lines = Text.assemble((text, "bold"), "\n", (below, QUIET))
        self.put(Panel(lines, box=box.ROUNDED, border_style=NAME, padding=(0, 2)))

    def heading(self, text: str) -> None:
        """Begin a section."""
        self.gap()
        if self.plain:
            self.put(Text(f"== {text}"))
        else:
            self.put(Rule(Text(f"{text} ", "bold cyan"), align="left", style=QUIET))

    def say(self, text: str, style: str = "", *, indent: int = 0) -> None:
        """Show a sentence."""
        self.put(Text(text, style), indent=indent)

    def verbatim(self, text: str, style: str = "", *, indent: int = 0) -> None:
        """Show lines that somebody may want to copy: never wrapped by us."""
        for line in text.splitlines():
            shown = Text(f"{'':{indent}}{line}".rstrip(), style)
            self.console.print(shown, soft_wrap=True)

    def code(self, text: str, language: str, *, indent: int = 2) -> None:
        """Show source or JSON, in colours where there are some."""
        if self.plain:
            self.verbatim(text, indent=indent)
            return
        shown = Syntax(text, language, theme="ansi_dark", background_color="default", word_wrap=True)
        self.put(shown, indent=indent)

    def facts(self, rows: Iterable[tuple[str, str | Text]], *, indent: int = 2, labels: int = 0) -> None:
        """Show names with their values below each other.

        Args:
            rows: Name and value; rows without a value are left out.
            indent: Columns to the left.
            labels: The least width of the names, to line up with another list.
        """
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style=QUIET, no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in rows:
            if value:
                grid.add_row(f"{name:{labels}}", value)
        self.put(grid, indent=indent)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, indent: int = 2) -> None:
        """Show a table; only its last column is ever broken."""
        lines = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=QUIET)
        for column in columns:
            lines.add_column(column, no_wrap=column is not columns[-1])
        for row in rows:
            lines.add_row(*row)
        self.put(lines, indent=indent)

    def pair(self, lead: Text, left: str, right: Text, *, column: int, label: str = "") -> None:
        """Show two values after a lead, side by side; where too wide, one below the other.

        Args:
            lead: What both belong to.
            left: The first value.
            right: The second.
            column: Columns of the first value that keep the second ones in line.
            label: Said before a second value that stands below.
        """
        line = Text.assemble(lead, f"{left:{column}}  ", right)
        if line.cell_len <= self.console.width:
            self.put(line)
            return
        below = Table.grid()
        below.add_column(no_wrap=True)
        below.add_column(overflow="fold")
        below.add_row(lead, left)
        below.add_row(Text(f"{label:>{lead.cell_len - 2}}  ", QUIET), right)
        self.put(below)

    def mark(self, verdict: str) -> Text:
        """Show how a step ended, `mark_width` columns wide: 'pass', 'fail', or 'open' for one not judged."""
        plain = {"pass": "ok", "fail": "FAIL", "open": "-"}
        drawn = {"pass": "\N{CHECK MARK}", "fail": "\N{BALLOT X}", "open": "\N{MIDDLE DOT}"}
        style = {"pass": GOOD, "fail": f"bold {BAD}", "open": QUIET}[verdict]
        return Text(f"{(plain if self.plain else drawn)[verdict]:<{self.mark_width}}", style)

    @property
    def mark_width(self) -> int:
        """Columns of a mark, with the gap after it."""
        return 5 if self.plain else 2
