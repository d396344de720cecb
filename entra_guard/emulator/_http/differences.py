"""Where two texts differ: for pages that show what was requested beside what is registered."""

from __future__ import annotations

Parts = tuple[str, str, str]


def differing(first: str, second: str) -> tuple[Parts, Parts]:
    """Return both texts as common start, differing middle, common end.

    Example:
        >>> differing("http://localhost/cb", "http://localhost/callback")
        (('http://localhost/c', 'b', ''), ('http://localhost/c', 'allback', ''))
    """
    start = _common(first, second)
    end = _common(first[start:][::-1], second[start:][::-1])
    return _parts(first, start, end), _parts(second, start, end)


def _common(first: str, second: str) -> int:
    """Return how many characters are the same at the start of both."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))


def _parts(text: str, start: int, end: int) -> Parts:
    stop = len(text) - end
    return text[:start], text[start:stop], text[stop:]
