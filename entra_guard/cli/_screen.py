"""The output of commands: formatted with rich on a terminal, plain ASCII lines in a pipe.

Piped output is never wrapped, so that ids, URLs and commands can be extracted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from textwrap import TextWrapper
from typing import TYPE_CHECKING, Final

import click
from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_UNWRAPPED: Final = 100_000
_READABLE: Final = 110
_GUTTER: Final = 2
_WIDE: Final = 100
_MIN_COLUMN: Final = 40
# After a space or a slash, but not within the '//' of a URL.
_BETWEEN_WORDS: Final = re.compile(r"(\s+|(?:[a-z]+://)?[^\s/]*(?<![:/])/+)")
GOOD: Final = "green"
BAD: Final = "red"
QUIET: Final = "dim"
NAME: Final = "cyan"


@dataclass(frozen=True, slots=True)
class TwoValues:
    """Two values after a label; '' for no second value."""

    lead: Text
    left: str
    right: str = ""
    style: str = ""


class Screen:
    """Write to standard output.

    Args:
        console: The rich console; by default standard output.
    """

    def __init__(self, console: Console | None = None) -> None:
        found = console or Console(highlight=False)
        self.plain: Final = not found.is_terminal or not found.encoding.startswith("utf")
        width = _UNWRAPPED if self.plain else min(found.width, _READABLE)
        self.console: Final = found
        self.console.width = width

    @property
    def is_narrow(self) -> bool:
        """Whether a table would break its ids: under 100 columns, blocks are better."""
        return self.console.width < _WIDE

    def render(self, thing: RenderableType, *, indent: int = 0) -> None:
        """Print anything that rich can render."""
        shown = Padding(thing, (0, 0, 0, indent), expand=False) if indent else thing
        if not self.plain:
            self.console.print(shown)
            return
        with self.console.capture() as capture:
            self.console.print(shown)
        for line in capture.get().splitlines():
            click.echo(line.rstrip())

    def blank_line(self) -> None:
        """Print an empty line."""
        self.console.print()

    def title(self, text: str, below: str) -> None:
        """Print a title with a line below."""
        if self.plain:
            self.render(Text(f"{text}\n{below}"))
            return
        lines = Text.assemble((text, "bold"), "\n", (below, QUIET))
        self.render(Panel(lines, box=box.ROUNDED, border_style=NAME, padding=(0, 2)))

    def heading(self, text: str) -> None:
        """Print the heading of a section."""
        self.blank_line()
        if self.plain:
            self.render(Text(f"== {text}"))
        else:
            self.render(Rule(Text(f"{text} ", "bold cyan"), align="left", style=QUIET))

    def text(self, text: str, style: str = "", *, indent: int = 0) -> None:
        """Print a sentence."""
        self.render(Text(text, style), indent=indent)

    def verbatim(self, text: str, style: str = "", *, indent: int = 0) -> None:
        """Print lines that can be copied: they are not wrapped."""
        for line in text.splitlines():
            shown = Text(f"{'':{indent}}{line}".rstrip(), style)
            self.console.print(shown, soft_wrap=True)

    def code(self, text: str, language: str, *, indent: int = 2) -> None:
        """Print source or JSON, with colours on a terminal."""
        if self.plain:
            self.verbatim(text, indent=indent)
            return
        from rich.syntax import Syntax  # noqa: PLC0415  # imports Pygments, for terminals only

        shown = Syntax(text, language, theme="ansi_dark", background_color="default", word_wrap=True)
        self.render(shown, indent=indent)

    def name_values(
        self, rows: Iterable[tuple[str, str | Text]], *, indent: int = 2, labels: int = 0, style: str = QUIET
    ) -> None:
        """Print names with their values, one per line.

        Args:
            rows: Names and values; rows without a value are omitted.
            indent: Columns to the left.
            labels: Minimum width of the names, to align them with another list.
            style: Of the names.
        """
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style=style, no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in rows:
            if value:
                grid.add_row(Text(f"{name:{labels}}"), _as_text(value))
        self.render(grid, indent=indent)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, indent: int = 2) -> None:
        """Print a table; only its last column is wrapped."""
        lines = Table(box=None, padding=(0, _GUTTER, 0, 0), pad_edge=False, header_style=QUIET)
        cells = [[*row] for row in rows]
        taken = sum(_GUTTER + max(map(len, column)) for column in [*zip(columns, *cells, strict=True)][:-1])
        room = self.console.width - indent - taken
        for column in columns:
            lines.add_column(column, no_wrap=column is not columns[-1], overflow="fold")
        for *first, last in cells:
            breakable = isinstance(last, str) and room > 0
            shown = "\n".join(folded(str(last), room)) if breakable else last
            lines.add_row(*map(_as_text, (*first, shown)))
        self.render(lines, indent=indent)

    def two_columns(self, head: TwoValues, rows: Sequence[TwoValues]) -> None:
        """Print two values after each label: side by side, or below each other on a narrow screen.

        Args:
            head: The column headings. The second one is repeated before a value that is printed below.
            rows: The labels have the same width. A row without a second value uses the whole line.
        """
        lead = head.lead.cell_len
        column = max((_widest(row.left) for row in (head, *rows) if row.right), default=0)
        room = self.console.width - lead - column - _GUTTER
        if room >= _MIN_COLUMN:
            for row in (head, *rows):
                self._side_by_side(row, column if row.right else column + _GUTTER + room, room)
            return
        label = Text(f"{head.right.partition(',')[0]:>{lead - _GUTTER}}{'':{_GUTTER}}", QUIET)
        for row in (TwoValues(head.lead, head.left, style=head.style), *rows):
            width = self.console.width - lead
            self._side_by_side(TwoValues(row.lead, row.left, style=row.style), width, 0)
            if row.right:
                self._side_by_side(TwoValues(label, row.right, style=row.style), width, 0)

    def _side_by_side(self, row: TwoValues, column: int, room: int) -> None:
        lead = row.lead
        lines = zip_longest(folded(row.left, column), folded(row.right, room), fillvalue="")
        for left, right in lines:
            line = f"{left:{column}}{'':{_GUTTER}}{right}" if right else left
            self.render(Text.assemble(lead, (line, row.style)))
            lead = Text(" " * lead.cell_len)

    def mark(self, verdict: str) -> Text:
        """Return the mark of a verdict, `mark_width` columns wide: pass, warn, fail, open (not checked)."""
        plain = {"pass": "ok", "warn": "WARN", "fail": "FAIL", "open": "-"}
        drawn = {"pass": "\N{CHECK MARK}", "warn": "!", "fail": "\N{BALLOT X}", "open": "\N{MIDDLE DOT}"}
        style = {"pass": GOOD, "warn": "bold yellow", "fail": f"bold {BAD}", "open": QUIET}[verdict]
        return Text(f"{(plain if self.plain else drawn)[verdict]:<{self.mark_width}}", style)

    @property
    def mark_width(self) -> int:
        """The columns of a mark, including the space after it."""
        return 5 if self.plain else 2


def _as_text(value: str | Text) -> Text:
    """Return a cell as it is: in a plain string rich would read `[red]` as markup."""
    return value if isinstance(value, Text) else Text(value)


def folded(text: str, width: int, *, indent: int = 0) -> list[str]:
    """Break lines between words and after slashes, so that the parts of a URL stay whole."""
    folding = TextWrapper(width, subsequent_indent=" " * indent)
    folding.wordsep_re = _BETWEEN_WORDS
    return [
        part for line in text.splitlines() for part in (folding.wrap(line) if len(line) > width else [line])
    ]


def _widest(text: str) -> int:
    return max(map(len, text.splitlines()), default=0)
