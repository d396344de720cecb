"""The command line's door: it opens where click and rich are installed, and says what to do where not."""

from __future__ import annotations

import logging
import sys
from typing import Final

from entra_guard.cli._program import program_name

_EXTRA: Final = frozenset({"click", "rich", "uvicorn", "jinja2"})
_FIX: Final = 'pip install "entra-guard[cli]"'
_MISSING: Final = 2


def main() -> None:
    """Run `entra-guard`, the console script. Exits with 2 where a package of the extra `cli` is missing."""
    # A command says itself what went wrong; the log would say it twice.
    logging.getLogger("entra_guard").addHandler(logging.NullHandler())
    try:
        from entra_guard.cli._group import group  # noqa: PLC0415  # needs click, which may be missing

        group.main(prog_name=program_name())
    except ImportError as problem:
        sentence = _sentence(problem)
        if not sentence:
            raise
        sys.stderr.write(f"{sentence}\n")
        raise SystemExit(_MISSING) from None


def _sentence(problem: ImportError) -> str:
    """What to install, if that is the problem."""
    package = (problem.name or "").partition(".")[0]
    if package in _EXTRA:
        return f"This command needs {package}, which is not installed: {_FIX}"
    return str(problem) if "pip install" in str(problem) else ""
