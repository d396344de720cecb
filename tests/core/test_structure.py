"""The layers: which module may import which, and what an import loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import entra_guard

ROOT = Path(entra_guard.__file__).parent

# A folder, or a module at the top, imports only from layers below it.
LAYERS = [
    {"reasons", "_escaping"},
    {"errors"},
    {"_common"},
    {"policy", "principal"},
    {"requirement"},
    {"_validation"},
    {"_keys"},
    {"_guard"},
    {"guard"},
    {"credentials"},
    {"graph"},
    {"_web"},
    {"asgi", "wsgi"},
    {"fastapi", "flask", "django", "mcp"},
    {"drf"},
    {"testing", "cli"},
]
PUBLIC_NAMES = "__init__"  # imports from all layers
MOST_TOP_LEVEL_MODULES = 14


def module_name(path: Path) -> str:
    parts = ("entra_guard", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


@dataclass(frozen=True)
class Facts:
    """What a module says in its docstring, and the modules that it imports, also inside of functions."""

    docstring: str | None
    imports: frozenset[str]
    imports_with_types: frozenset[str]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and any(
        "TYPE_CHECKING" in (getattr(part, "id", ""), getattr(part, "attr", ""))
        for part in ast.walk(node.test)
    )


@cache
def facts_of(name: str) -> Facts:
    """Read a module once for all tests."""
    tree = ast.parse(MODULES[name].read_text())
    nodes = list(ast.walk(tree))
    for_types = {
        id(inner)
        for node in nodes
        if is_type_checking(node)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    found = {
        id(node): imported_by(node, name) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)
    }
    runs = (imported for node, imported in found.items() if node not in for_types)
    return Facts(
        ast.get_docstring(tree),
        frozenset().union(*runs) - {name},
        frozenset().union(*found.values()) - {name},
    )


def imported_by(node: ast.Import | ast.ImportFrom, name: str) -> set[str]:
    """Return the package's modules that a statement of a module imports."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names} & MODULES.keys()
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    parent = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
    base = ".".join([*parent, *filter(None, [node.module])])
    inner = {f"{base}.{alias.name}" for alias in node.names} & MODULES.keys()
    return (inner if len(inner) == len(node.names) else {*inner, base}) & MODULES.keys()


def imports_of(name: str, *, types_too: bool = False) -> frozenset[str]:
    """Return the modules that a module imports, also inside of functions, and also for types if wanted."""
    facts = facts_of(name)
    return facts.imports_with_types if types_too else facts.imports


def layer_of(name: str) -> int | None:
    return next((depth for depth, layer in enumerate(LAYERS) if name in layer), None)


def top_of(module: str) -> str:
    """Return the folder or top-level module that a module is in."""
    return module.split(".")[1] if "." in module else PUBLIC_NAMES


def test_a_module_imports_only_from_lower_layers():
    for module in MODULES:
        top = top_of(module)
        if top in {PUBLIC_NAMES, "emulator"}:
            continue
        depth = layer_of(top)
        assert depth is not None, f"give {top} a layer"
        allowed = {top} | ({"emulator"} if top in ("cli", "testing") else set())
        allowed |= {PUBLIC_NAMES} if depth > layer_of("guard") else set()
        allowed |= {name for layer in LAYERS[:depth] for name in layer}
        assert {top_of(name) for name in imports_of(module)} - allowed == set(), module


def cycles_of(imports: dict[str, set[str]]) -> list[set[str]]:
    """Return the groups of modules that import each other, directly or indirectly."""
    reached = {name: set[str]() for name in imports}
    for name, found in reached.items():
        to_visit = [*imports[name]]
        while to_visit:
            if (module := to_visit.pop()) not in found:
                found.add(module)
                to_visit += imports[module]
    groups = {
        frozenset(other for other in found if name in reached[other]) for name, found in reached.items()
    }
    return [set(group) for group in groups if group]


@pytest.mark.parametrize("types_too", [False, True], ids=["when it runs", "for types"])
def test_there_is_no_import_cycle(types_too):
    assert cycles_of({name: imports_of(name, types_too=types_too) for name in MODULES}) == []


def test_a_cycle_would_be_found():
    assert cycles_of({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [{"b", "c"}]


PORTAL = "entra_guard.emulator._portal"
LAZY_PORTAL = f"{PORTAL}.lazy_portal"


def test_the_emulator_imports_nothing_of_the_other_folders_except_in_its_portal():
    below = {name for layer in LAYERS[: layer_of("_web") + 2] for name in layer}
    for name in MODULES:
        if top_of(name) == "emulator":
            # How a text is escaped and shortened decides nothing about tokens.
            allowed = {
                "emulator",
                "_escaping",
                *(below | {PUBLIC_NAMES} if name.startswith(f"{PORTAL}.") else ()),
            }
            assert {top_of(found) for found in imports_of(name)} <= allowed, name


def test_the_portal_is_not_imported_before_its_first_page_request():
    outside = {name for name in MODULES if not name.startswith(f"{PORTAL}.")}
    imported = {found for name in outside for found in imports_of(name) if found.startswith(f"{PORTAL}.")}
    assert imported == {LAZY_PORTAL}
    assert "entra_guard.emulator._portal.portal" not in imports_at_start("entra_guard.emulator")


def imports_at_start(name: str) -> set[str]:
    """Return the modules that are loaded when a module is imported."""
    code = f"import sys, {name}; print(' '.join(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(output.split())


def test_the_emulator_starts_without_what_its_first_response_does_not_need():
    late = {"entra_guard.guard", "entra_guard.emulator._graph.endpoints", "cryptography.x509"}
    assert imports_at_start("entra_guard.emulator") & {*late, "jwt", "httpx", "jinja2", "yaml"} == set()


def test_there_are_few_modules_at_the_top_level():
    assert len(list(ROOT.glob("*.py"))) <= MOST_TOP_LEVEL_MODULES


def test_every_module_says_in_its_first_line_what_it_is():
    for name, path in MODULES.items():
        assert facts_of(name).docstring, path


def modules_after(statement: str) -> set[str]:
    code = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(' '.join(set(sys.modules) - before))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return {name.split(".")[0] for name in output.split()}


def test_importing_the_package_loads_no_framework_and_no_http_client():
    # Older versions of anyio load ssl and socket themselves.
    loaded = modules_after("from entra_guard import Guard") - modules_after("import anyio")
    heavy = {"starlette", "fastapi", "flask", "django", "httpx", "uvicorn", "click", "rich", "redis", "jwt"}
    assert loaded & (heavy | {"asyncio", "email", "ssl", "socket", "tempfile"}) == set()
    assert {"cryptography", "msgspec", "pybase64"} <= loaded


def test_the_package_imports_a_public_name_at_its_first_use():
    assert modules_after("import entra_guard") & {"cryptography", "msgspec", "pybase64"} == set()
    code = "import entra_guard\nfor name in entra_guard.__all__: assert name in dir(entra_guard)"
    assert "cryptography" in modules_after(
        f"{code}\nfor name in entra_guard.__all__: getattr(entra_guard, name)"
    )
    assert "cryptography" in modules_after("import entra_guard; entra_guard.guard.Guard, entra_guard.errors")
    with pytest.raises(AttributeError, match="has no attribute 'Gaurd'"):
        _ = entra_guard.Gaurd


def test_the_asgi_adapter_loads_no_other_framework():
    loaded = modules_after("import entra_guard.asgi") - modules_after("import entra_guard.guard")
    assert loaded & {"fastapi", "flask", "django", "jinja2", "pydantic"} == set()


def test_every_log_line_is_written_through_the_escaping_logger():
    allowed = {"_common/logs.py", "cli/__init__.py", "cli/demo/_log.py"}  # the last two only add handlers
    users = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if "logging.getLogger" in path.read_text() or "getLogger(" in path.read_text()
    }
    assert {user for user in users if not user.startswith("emulator/")} == allowed


def test_each_lock_is_made_again_in_a_forked_process():
    per_call = {"_Work"}  # the child has none of its parent's work
    at_fork = {"after_fork", "after_fork_in_child"}
    kept = [
        f"{name}.{node.name}"
        for name, path in MODULES.items()
        if not name.startswith(("entra_guard.emulator", "entra_guard.cli"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and node.name not in per_call
        if (made := methods_that_make_a_lock(node)) and not (made & at_fork and is_registered(node, path))
    ]
    assert kept == []


def is_registered(node: ast.ClassDef, path: Path) -> bool:
    """Return whether something calls the class' method in a forked process."""
    return "reset_after_fork(self)" in ast.unparse(node) or "register_at_fork(" in path.read_text()


def methods_that_make_a_lock(node: ast.ClassDef) -> set[str]:
    methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    return {method.name for method in methods if "Lock()" in ast.unparse(method)}
