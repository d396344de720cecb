"""Write the generated parts of README.md and docs/: `python docs/generate.py`; `--check` compares only.

A generated part is between `<!-- generated: NAME -->` and `<!-- end -->`. Its text comes from the code.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from entra_guard import Guard, KeySettings
from entra_guard._web.authenticator import RequestAuthenticator
from entra_guard.cli.reason_guides._pages import sections_markdown
from entra_guard.cli.reasons import checklist_markdown, reasons_markdown
from entra_guard.credentials import Settings
from entra_guard.emulator import PRESETS
from entra_guard.emulator._directory.seed_format import (
    AgentSeed,
    AppSeed,
    CertificateSeed,
    FederatedSeed,
    GroupSeed,
    IdentitySeed,
    RoleSeed,
    ScopeSeed,
    SecretSeed,
    TenantSeed,
    UserSeed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PART: Final = re.compile(r"(<!-- generated: ([^\n]+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_ENTRY: Final = re.compile(r"^(\w+): (.*)$")


def documented(thing: object, section: str) -> dict[str, str]:
    """Return the names and descriptions of one section of a docstring in Google's style.

    Args:
        thing: A class or function with a docstring.
        section: 'Args' or 'Attributes'.
    """
    text = inspect.getdoc(thing) or ""
    body = text.partition(f"{section}:\n")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(body).splitlines():
        if entry := _ENTRY.match(line):
            name = entry[1]
            found[name] = entry[2]
        elif name:
            found[name] += f" {line.strip()}"
    return found


def settings_table(thing: Callable[..., Any], section: str = "Args", *, skip: Iterable[str] = ()) -> str:
    """Return a table of a callable's arguments: name, default, meaning."""
    parameters = inspect.signature(thing).parameters
    rows = []
    for name, meaning in documented(thing, section).items():
        if name in skip:
            continue
        default = parameters[name].default if name in parameters else inspect.Parameter.empty
        rows.append((f"`{name}`", _default(default), meaning))
    return table(("name", "default", "meaning"), rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _default(value: object) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    if callable(value):
        return f"`{getattr(value, '__module__', '')}.{getattr(value, '__name__', '')}`"
    if isinstance(value, frozenset):
        return ", ".join(f"`{item}`" for item in sorted(value))
    if isinstance(value, float) and value.is_integer():
        return f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"`{value!r}`"


def credentials_table() -> str:
    """Return the table of the settings that all credentials share."""
    rows = ((f"`{name}`", meaning) for name, meaning in documented(Settings, "Attributes").items())
    return table(("name", "meaning"), rows)


def environment_table() -> str:
    """Return the table of the variables that `Guard.from_env` reads."""
    text = inspect.getdoc(Guard.from_env) or ""
    names = sorted(set(re.findall(r"ENTRA_GUARD_[A-Z_]+[A-Z]", text)), key=text.index)
    settings = documented(Guard, "Args")
    rows = ((f"`{name}`", settings[name.removeprefix("ENTRA_GUARD_").lower()]) for name in names)
    return table(("variable", "meaning"), rows)


def presets_table() -> str:
    """Return the table of the emulator's token presets."""
    return table(("preset", "the token"), ((f"`{name}`", preset.summary) for name, preset in PRESETS.items()))


def seed_table() -> str:
    """Return the table of the members of a seed file, with the defaults that differ from empty."""
    kinds = (TenantSeed, AppSeed, RoleSeed, ScopeSeed, SecretSeed, CertificateSeed, FederatedSeed)
    rows = (
        (_seed_name(kind), ", ".join(map(_seed_member, msgspec.structs.fields(kind))))
        for kind in (*kinds, AgentSeed, UserSeed, GroupSeed, IdentitySeed)
    )
    return table(("object", "members"), rows)


def _seed_name(kind: type) -> str:
    return kind.__name__.removesuffix("Seed").lower()


def _seed_member(member: msgspec.structs.FieldInfo) -> str:
    if member.required:
        return f"`{member.name}` (required)"
    default = member.default if member.default is not msgspec.NODEFAULT else member.default_factory()
    return f"`{member.name}`" if default in ("", [], {}, None, False) else f"`{member.name}` ({default!r})"


def benchmark_table(name: str) -> str:
    """Return a table of the published benchmark run."""
    found = _published()["tables"][name]
    return table(found["head"], found["rows"])


def benchmark_run() -> str:
    """Return the sentence that says where and when the published run was measured."""
    run = _published()["run"]
    packages = ", ".join(f"{name} {number}" for name, number in run["packages"].items())
    return "\n".join(
        (
            f"All tables are from one run of `python -m benchmarks --all` on {run['date']}.",
            f"Machine: {run['machine']},",
            f"shared and virtual. Python {run['python']}, {packages}; commit {run['commit']}.",
        )
    )


def benchmark_pythons() -> str:
    """Return the table of the versions of Python: every published run, with what it says about validation."""
    columns = {
        "first sight": "first sight, only the keys cached",
        "forged": "refusing a forged signature",
        "1,000 cached tokens": "second sight, 1,000 tokens",
    }
    runs = [
        json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "benchmarks").glob("results*.json")
    ]
    rows = [
        (
            run["run"]["python"],
            *(f"{statistics.median(run['ratios'][name]):.2f}" for name in columns.values()),
        )
        for run in runs
    ]
    in_order = sorted(rows, key=lambda row: [int(part) for part in row[0].split(".")[:2]])
    return table(("Python", *columns), in_order)


def readme_speed() -> str:
    """Return the README's table: each library's first and second sight of a token."""
    ratios = {name: ratio for name, _, ratio in _published()["tables"]["peers"]["rows"]}
    rows = [("entra_guard", ratios["entra_guard, first sight"], ratios["entra_guard, second sight"])]
    others = ("Authlib", "joserfc", "PyJWT with PyJWKClient", "fastapi-azure-auth")
    rows += [(name, ratios[name], ratios[name]) for name in others]
    return table(("library", "a new token", "the same token again"), rows)


def _published() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    return found


BENCHMARKS: Final = (
    "validation",
    "peers",
    "cached",
    "request",
    "telemetry",
    "uvicorn",
    "threads",
    "start",
    "emulator",
    "emulator-fixture",
    "outbound",
    "outbound-cold",
    "outbound-memory",
    "mcp",
    "outages",
    "fleet",
)
PARTS: Final[dict[str, Callable[[], str]]] = {
    "reasons": lambda: re.sub(r"^\| `(\w+)`", r"| [`\1`](#\1)", reasons_markdown(), flags=re.MULTILINE),
    "reason sections": sections_markdown,
    "checklist": checklist_markdown,
    "guard": lambda: settings_table(Guard),
    "keys": lambda: settings_table(KeySettings, "Attributes"),
    "adapters": lambda: settings_table(RequestAuthenticator, skip=["guard"]),
    "credentials": credentials_table,
    "environment": environment_table,
    "presets": presets_table,
    "seed": seed_table,
    "benchmark-run": benchmark_run,
    "benchmark-pythons": benchmark_pythons,
    "readme-speed": readme_speed,
    **{f"benchmark-{name}": functools.partial(benchmark_table, name) for name in BENCHMARKS},
}


def generated(page: str) -> str:
    """Return a page with its generated parts filled in."""
    return PART.sub(lambda part: f"{part[1]}{PARTS[part[2]]()}\n{part[4]}", page)


def main() -> int:
    """Write all pages, or with --check report those that are out of date."""
    stale = [page for page in PAGES if generated(page.read_text()) != page.read_text()]
    if "--check" in sys.argv:
        for page in stale:
            print(f"{page.relative_to(ROOT)} is out of date: run python docs/generate.py")
        return bool(stale)
    for page in stale:
        page.write_text(generated(page.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
