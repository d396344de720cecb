"""`python -m benchmarks`: all tables about validation, in one run of about a minute.

`--save FILE` keeps the ratios as JSON; `--compare FILE` tells what is better or worse than such a file.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
from pathlib import Path

from benchmarks import _results, request, validation


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("--save", type=Path, metavar="FILE", help="write the ratios as JSON")
    arguments.add_argument("--compare", type=Path, metavar="FILE", help="compare with such a file")
    arguments.add_argument("--validation", action="store_true", help="measure validation only")
    chosen = arguments.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}")
    validation.main()
    if not chosen.validation:
        request.main()
        _measure_peers()
    if chosen.save:
        _results.save(chosen.save)
    if chosen.compare:
        _results.compare(chosen.compare)


def _measure_peers() -> None:
    if all(importlib.util.find_spec(name) for name in ("joserfc", "authlib", "fastapi_azure_auth")):
        from benchmarks import peers

        peers.main()
    else:
        print('\nThe peers are not installed: pip install "entra-guard[peers]"')


if __name__ == "__main__":
    main()
