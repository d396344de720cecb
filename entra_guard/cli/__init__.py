"""The console script: run the command line, or report which package is missing."""

from __future__ import annotations

import logging
import sys
from typing import Final

from entra_guard._common.boundary import clear_own_frames
from entra_guard.cli._program import program_name

_EXTRA: Final = frozenset({"click", "rich", "uvicorn", "jinja2"})
_FIX: Final = 'pip install "entra-guard[cli]"'
_MISSING: Final = 2


def main() -> None:
    """Run `entra-guard`. Exits with 2 if a package of the extra `cli` is missing."""
    # Commands print their errors; the log would repeat them.
    logging.getLogger("entra_guard").addHandler(logging.NullHandler())
    try:
        from entra_guard.cli._group import group  # noqa: PLC0415  # needs click, which may be missing

        group.main(prog_name=program_name())
    except ImportError as error:
        hint = _install_hint(error)
        if not hint:
            raise
        sys.stderr.write(f"{hint}\n")
        raise SystemExit(_MISSING) from None
    except BaseException as error:
        clear_own_frames(error)  # they hold the environment
        raise


def _install_hint(error: ImportError) -> str:
    """Return what to install, if a missing package is the cause; otherwise an empty string."""
    package = (error.name or "").partition(".")[0]
    if package in _EXTRA:
        return f"This command needs {package}, which is not installed: {_FIX}"
    return str(error) if "pip install" in str(error) else ""
