"""SVG pictures by matplotlib that follow the reader's light or dark colours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

# Each colour that is drawn, and what a dark page shows in its place.
INK, QUIET, GRID, PAGE = "#17191e", "#4d5461", "#d9dde4", "#ffffff"
OURS, THEIRS, FLOOR, BAD = "#1553b7", "#9aa5b8", "#7a8494", "#b3261e"
DARK: Final = {
    INK: "#eceef2",
    QUIET: "#aab1bf",
    GRID: "#343945",
    PAGE: "#121419",
    OURS: "#8cb4ff",
    THEIRS: "#566074",
    FLOOR: "#788192",
    BAD: "#ff9a91",
    "#9dbbe0": "#3b5a86",
    "#1f4e8c": "#8cb4ff",
    "#b3402e": "#ff9a91",
    "#e8f0e2": "#1f2b1c",
    "#f6e3df": "#3a211d",
    "#f7efd8": "#33290f",
    "#666666": "#aab1bf",
    "#777777": "#788192",
    "#000000": "#eceef2",
}


def pyplot() -> Any:
    """Return matplotlib's pyplot, set up for SVG with text as text."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update(
        {
            "svg.hashsalt": "entra_guard",
            "svg.fonttype": "none",
            "font.size": 9,
            "font.family": "sans-serif",
            "axes.edgecolor": QUIET,
            "axes.labelcolor": QUIET,
            "text.color": INK,
            "xtick.color": QUIET,
            "ytick.color": INK,
            "figure.facecolor": PAGE,
            "axes.facecolor": PAGE,
        }
    )
    return plt


def save(figure: Any, path: Path) -> None:
    """Write a figure as SVG. On a dark page its colours change by a media query."""
    figure.savefig(path, format="svg", metadata={"Date": None})
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    # Text without a set colour is black.
    style = f"<style>@media (prefers-color-scheme: dark){{text{{fill:{DARK[INK]}}}{rules}}}</style>"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"(<svg[^>]*>)", rf"\g<1>{style}", text, count=1), encoding="utf-8")
