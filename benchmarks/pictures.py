"""`python -m benchmarks.pictures`: draw the published tables into docs/pictures, for light and dark pages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import _results
from benchmarks._pictures import BAD, FLOOR, GRID, INK, OURS, QUIET, THEIRS, pyplot, save

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER: Final = Path(__file__).parents[1] / "docs" / "pictures"
_NUMBER: Final = re.compile(r"[\d,]+(?:\.\d+)?")
Tables = dict[str, dict[str, Any]]


def number(cell: str) -> float:
    """Return the first number in a cell."""
    found = _NUMBER.search(cell)
    assert found is not None, cell
    return float(found[0].replace(",", ""))


def bars(axes: Any, rows: Sequence[tuple[str, float, str]], label: str, form: str = "{:.2f}") -> None:
    """Draw horizontal bars: name, value, colour; the first at the top, the value behind each."""
    names, values, colours = zip(*rows, strict=True)
    places = range(len(rows), 0, -1)
    axes.barh(places, values, color=colours, height=0.62)
    axes.set_yticks(places, names)
    for place, value in zip(places, values, strict=True):
        text, gap = form.format(value), {"xytext": (4, 0), "textcoords": "offset points"}
        axes.annotate(text, (value, place), va="center", color=INK, **gap)
    axes.set_xlabel(label)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, max(values) * 1.15)


def figure_of(rows: int, columns: int = 1) -> tuple[Any, Any]:
    return pyplot().subplots(1, columns, figsize=(8.5, 0.9 + 0.32 * rows), layout="constrained")


def draw_speed(tables: Tables) -> None:
    rows = [(name, number(ratio), _colour(name)) for name, _, ratio in tables["peers"]["rows"]]
    figure, axes = figure_of(len(rows))
    bars(axes, rows, "time to validate one token, as ratio to one bare RSA check (the dotted line)")
    axes.axvline(1, color=FLOOR, linestyle=":", linewidth=1)
    save(figure, FOLDER / "speed.svg")


def draw_memory(tables: Tables) -> None:
    inbound = [
        (f"{live} cached tokens", number(each), OURS) for live, _, _, each, _ in tables["cached"]["rows"][1:]
    ]
    outbound = [
        (name, number(cells[-1]), _colour(name)) for name, *cells, _ in tables["outbound-memory"]["rows"]
    ]
    figure, (left, right) = figure_of(3, columns=2)
    bars(left, inbound, "bytes per token that the guard caches", "{:.0f}")
    bars(right, outbound, "bytes per outbound token", "{:.0f}")
    save(figure, FOLDER / "memory.svg")


def draw_outbound(tables: Tables) -> None:
    head, rows = tables["outbound"]["head"], tables["outbound"]["rows"]
    column = head.index("1,000 tokens")
    found = [(row[0], number(row[column]), _colour(row[0])) for row in rows if "bare" not in row[0]]
    figure, axes = figure_of(len(found))
    bars(
        axes,
        found,
        "time for a cached outbound token with 1,000 cached, as ratio to a dictionary look-up",
        "{:,.1f}",
    )
    axes.set_xscale("log")
    axes.set_xlim(0.8, max(value for _, value, _ in found) * 3)
    save(figure, FOLDER / "outbound.svg")


def draw_outages(tables: Tables) -> None:
    head, rows = tables["outages"]["head"][1:], tables["outages"]["rows"]
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(11, 0.9 + 0.34 * len(rows)), layout="constrained")
    for line, (name, *cells) in enumerate(rows):
        axes.text(-0.1, -line, name, ha="right", va="center", color=INK, fontsize=8)
        for column, cell in enumerate(cells):
            sign, colour = _outcome(name, cell)
            axes.text(column + 0.5, -line, sign, ha="center", va="center", color=colour, fontsize=8)
        axes.axhline(-line - 0.5, color=GRID, linewidth=0.6)
    for column, name in enumerate(head):
        axes.text(column + 0.5, 0.75, name, ha="center", color=QUIET, fontsize=8)
    axes.set(xlim=(0, len(head)), ylim=(-len(rows) + 0.4, 1.1))
    axes.axis("off")
    save(figure, FOLDER / "outages.svg")


def _outcome(situation: str, cell: str) -> tuple[str, str]:
    """Return what all callers got, and whether it is right: a forged kid is a 401, no key at all a 503."""
    wanted = "401" if "forged kids, all" in situation else "503" if "never any" in situation else "200"
    status = cell.partition(",")[0].partition(" x ")[2]
    held = ", loop held" if "loop held" in cell else ""
    late = ", > 8 s" if "> 8 s" in cell and status != "no answer" else ""
    good = status == wanted and not held and not late
    return f"{'✓' if good else '✗'} {status}{late}{held}", OURS if good else BAD


def _colour(name: str) -> str:
    return OURS if name.startswith(("entra_guard", "ours", "get_token")) else THEIRS


def main() -> None:
    tables: Tables = json.loads(_results.PUBLISHED.read_text(encoding="utf-8"))["tables"]
    FOLDER.mkdir(exist_ok=True)
    for draw in (draw_speed, draw_memory, draw_outbound, draw_outages):
        draw(tables)
    print(f"Drawn into {FOLDER}")


if __name__ == "__main__":
    main()
