"""Draw `docs/demo.svg`, the picture of the README: the end of the demo's output.

Run `python docs/demo_picture.py`. `tests/docs` compares the text of the picture with what the demo prints.
"""

from __future__ import annotations

import html
import io
import re
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from entra_guard.cli._screen import Screen
from entra_guard.cli.demo._run import run
from entra_guard.emulator import Emulator

PICTURE: Final = Path(__file__).with_name("demo.svg")
WIDTH: Final = 110
_TIME: Final = re.compile(r"(\d\d):(\d\d):(\d\d)")
_NOW: Final = re.compile(r"(?<=nbf <= )\d\d:\d\d:\d\d")
_NOON, _DAY = 720, 1440  # in minutes
# Ports and key ids differ from run to run.
_CHANGING: Final = (
    (re.compile(r"(?<=clock ahead by)(\s+)-?\d+ s"), r"\g<1>0 s"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:8787"),
    (
        re.compile(r"(?<=kid )[\w-]{27}|(?<=issuer )[\w-]{27}|(?<= )[\w-]{27}(?=$)"),
        "k3y1dOfTheSigningKeyInEntra0",
    ),
)
_FIRST: Final = re.compile(r"What the guard checks")
_LAST: Final = re.compile(r"403 ")


def demo_lines() -> list[str]:
    """Run the demo and return the lines of the picture, with ANSI styles."""
    console = Console(
        file=io.StringIO(),
        record=True,
        width=WIDTH,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
    )
    run(Screen(console), entra=Emulator(seed=1))
    lines = console.export_text(styles=True).splitlines()
    plain = [Text.from_ansi(line).plain for line in lines]
    first = next(number for number, line in enumerate(plain) if _FIRST.search(line))
    last = next(number for number, line in enumerate(plain) if number > first and _LAST.match(line))
    return lines[first:last]


def stable(lines: list[str]) -> list[str]:
    """Return lines without what changes from run to run: the demo runs at noon."""
    now = next(_minutes(found[0]) for line in lines if (found := _NOW.search(line)))
    return [_stable(_TIME.sub(lambda time: _at_noon(time[0], now), line)) for line in lines]


def _minutes(time: str) -> float:
    hours, minutes, seconds = map(int, time.split(":"))
    return hours * 60 + minutes + seconds / 60


def _at_noon(time: str, now: float) -> str:
    hours, minutes = divmod(round(_NOON + _minutes(time) - now) % _DAY, 60)
    return f"{hours:02}:{minutes:02}:00"


def _stable(line: str) -> str:
    for pattern, text in _CHANGING:
        line = pattern.sub(text, line)
    return line.rstrip()


def shown(lines: list[str]) -> list[str]:
    """Return the text of the picture's lines."""
    return stable([Text.from_ansi(line).plain for line in lines])


def text_of(picture: str) -> list[str]:
    """Return the lines of text in a picture that rich has drawn."""
    rows: dict[float, list[tuple[float, str]]] = {}
    for x, y, text in re.findall(
        r'<text class="\S+-r\d+" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', picture
    ):
        rows.setdefault(float(y), []).append((float(x), html.unescape(text).replace("\xa0", " ")))
    return ["".join(text for _x, text in sorted(row)).rstrip() for _y, row in sorted(rows.items())]


def draw(lines: list[str]) -> str:
    """Return the picture as SVG."""
    console = Console(file=io.StringIO(), record=True, width=WIDTH, force_terminal=True, highlight=False)
    texts = [Text.from_ansi(line) for line in lines]
    for text, plain in zip(texts, stable([text.plain for text in texts]), strict=True):
        console.print(Text(plain, spans=text.spans), soft_wrap=True)
    return console.export_svg(title="entra-guard demo", unique_id="demo")


if __name__ == "__main__":
    PICTURE.write_text(draw(demo_lines()))
