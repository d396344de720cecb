"""The emulator's structure: layers without cycles, composition, no private keys in the package."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import entra_guard
import entra_guard.emulator
from entra_guard.emulator import Emulator
from entra_guard.testing import Entra

FOLDER = Path(entra_guard.emulator.__file__).parent
PACKAGE = "entra_guard.emulator"
# Each folder imports from folders before it, and from itself.
LAYERS = [
    *("_http", "_store", "_directory", "_tokens", "_oauth", "_graph", "_faults", "_pages"),
    *("_activity", "_portal", ""),
]


def module_name(path: Path) -> str:
    parts = path.relative_to(FOLDER).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


PATHS = {module_name(path): path for path in sorted(FOLDER.rglob("*.py"))}


@dataclass(frozen=True)
class Facts:
    """What the tests look at in a module."""

    lines: int
    imported: frozenset[str]  # as written
    imports: frozenset[str]  # the emulator's modules, including in functions and for type checking
    lengths: dict[str, int]  # of its functions, without their docstrings


@cache
def facts_of(name: str) -> Facts:
    """Read a module once for all tests."""
    text = PATHS[name].read_text("utf-8")
    imported: set[str] = set()
    imports: set[str] = set()
    lengths: dict[str, int] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
            imports |= modules_of(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            length = (node.end_lineno or 0) - node.lineno - len((docstring or "").splitlines())
            lengths[f"{node.name}, line {node.lineno}"] = length
    return Facts(len(text.splitlines()), frozenset(imported), frozenset(imports - {name}), lengths)


def modules_of(node: ast.ImportFrom) -> set[str]:
    """Return the emulator's modules that a statement imports."""
    if not (node.module or "").startswith(PACKAGE):
        return set()
    module = (node.module or "").removeprefix(PACKAGE).lstrip(".")
    submodules = {f"{module}.{alias.name}".lstrip(".") for alias in node.names} & PATHS.keys()
    return submodules or {module}


def layer_of(module: str) -> int:
    folder, dot, _ = module.partition(".")
    return LAYERS.index(folder if dot or folder in LAYERS else "")


def test_a_module_imports_only_from_lower_layers() -> None:
    for module in PATHS:
        higher = {other for other in facts_of(module).imports if layer_of(other) > layer_of(module)}
        assert higher == set(), module


def test_no_import_cycle_exists_even_in_functions_or_for_type_checking() -> None:
    visited: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path, module])
        if module not in visited:
            for other in sorted(facts_of(module).imports):
                visit(other, (*path, module))
            visited.add(module)

    for module in PATHS:
        visit(module, ())


def test_only_the_portal_imports_from_the_guard() -> None:
    # How a text is escaped and shortened decides nothing about tokens.
    shared = {"entra_guard._escaping"}
    for module in PATHS:
        if not module.startswith("_portal."):
            imported = facts_of(module).imported - shared
            assert all(not n.startswith("entra_guard") or n.startswith(PACKAGE) for n in imported), module


def test_the_emulator_is_composed_rather_than_inherited() -> None:
    assert len(Emulator.__mro__) <= 3
    assert len(Entra.__mro__) <= 3


def test_the_emulator_has_few_public_attributes_and_each_is_documented() -> None:
    entra = Emulator()
    public = [name for name in dir(entra) if not name.startswith("_")]
    assert len(public) <= 70
    for name in public:
        member = getattr(Emulator, name, None)
        described = member.__doc__ if member is not None else f"{name}:" in (Emulator.__doc__ or "")
        assert described or name in {"transport", "app"}, name


def test_modules_and_functions_are_short() -> None:
    for module in PATHS:
        facts = facts_of(module)
        assert facts.lines <= 500, module
        assert {name: length for name, length in facts.lengths.items() if length > 60} == {}, module


PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY")
KEY_NUMBERS = re.compile(rb"[A-Za-z0-9+/_=-]{200,}|[0-9a-fA-F]{200,}|[0-9]{200,}")


def test_no_file_of_the_package_contains_a_private_key() -> None:
    for path in Path(entra_guard.__file__).parent.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            content = path.read_bytes()
            assert not PRIVATE_KEY.search(content), path
            assert not KEY_NUMBERS.search(content), path
