"""`python -m benchmarks`: one validation, a cached token, a whole request, peers, in about a minute.

`--all` adds every other table: threads, starts, the emulator, outbound tokens, MCP, outages, the fleet (about
ten minutes). `--save FILE` keeps tables and ratios as JSON, with machine, versions and commit.
`--compare FILE` tells what is better or worse than such a file.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import platform
from pathlib import Path

from benchmarks import _progress, _results

QUICK = ("validation", "request", "peers")
ALL = (*QUICK, "threads", "start", "emulator", "outbound", "mcp", "resilience", "fleet")
# What a benchmark imports beside the package: the extras `dev` and `peers` have it.
NEEDS = {
    "peers": ("joserfc", "authlib", "fastapi_azure_auth"),
    "resilience": ("fastapi_azure_auth", "fastmcp", "jwks_client"),
    "fleet": ("matplotlib",),
    "mcp": ("mcp",),
    "threads": ("flask", "gunicorn"),
}


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("--save", type=Path, metavar="FILE", help="write tables and ratios as JSON")
    arguments.add_argument("--compare", type=Path, metavar="FILE", help="compare with such a file")
    chosen = arguments.add_mutually_exclusive_group()
    chosen.add_argument("--validation", action="store_true", help="measure validation only")
    chosen.add_argument("--all", action="store_true", help="measure everything but the soak")
    options = arguments.parse_args()
    print(f"Python {platform.python_version()}, {_results.processor()}, {platform.machine()}")
    names = ALL if options.all else QUICK[:1] if options.validation else QUICK
    for name in _progress.steps(names):
        _measure(name)
    if options.save:
        _results.save(options.save)
    if options.compare:
        _results.compare(options.compare)


def _measure(name: str) -> None:
    missing = [package for package in NEEDS.get(name, ()) if not importlib.util.find_spec(package)]
    if missing:
        print(f'\n{name}: {", ".join(missing)} missing: pip install "entra-guard[dev,peers]"')
        return
    importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
