"""The emulator's structure: layers without cycles, composition, no private keys in the package."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import entra_guard
import entra_guard.emulator
from entra_guard.emulator import Emulator
from entra_guard.testing import Entra

FOLDER = Path(entra_guard.emulator.__file__).parent
PACKAGE = "entra_guard.emulator"
# Each folder imports from folders before it, and from itself.
LAYERS = ["_http", "_store", "_directory", "_tokens", "_oauth", "_graph", "_faults", "_pages", "_portal", ""]


def module_name(path: Path) -> str:
    parts = path.relative_to(FOLDER).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported_modules(path: Path, names: set[str]) -> set[str]:
    """Return the emulator's modules that a file imports, including in functions and for type checking."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            module = (node.module or "").removeprefix(PACKAGE).lstrip(".")
            submodules = {f"{module}.{alias.name}".lstrip(".") for alias in node.names} & names
            found |= submodules or {module}
    return found - {module_name(path)}


PATHS = {module_name(path): path for path in sorted(FOLDER.rglob("*.py"))}
IMPORTS = {name: imported_modules(path, {*PATHS}) for name, path in PATHS.items()}


def layer_of(module: str) -> int:
    folder, dot, _ = module.partition(".")
    return LAYERS.index(folder if dot or folder in LAYERS else "")


@pytest.mark.parametrize("module", PATHS)
def test_a_module_imports_only_from_lower_layers(module: str) -> None:
    assert {other for other in IMPORTS[module] if layer_of(other) > layer_of(module)} == set()


def test_no_import_cycle_exists_even_in_functions_or_for_type_checking() -> None:
    visited: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path, module])
        if module not in visited:
            for other in sorted(IMPORTS[module]):
                visit(other, (*path, module))
            visited.add(module)

    for module in PATHS:
        visit(module, ())


@pytest.mark.parametrize("module", [name for name in PATHS if not name.startswith("_portal.")])
def test_only_the_portal_imports_from_the_guard(module: str) -> None:
    for node in ast.walk(ast.parse(PATHS[module].read_text("utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert all(not n.startswith("entra_guard") or n.startswith(PACKAGE) for n in names)


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


@pytest.mark.parametrize("module", PATHS)
def test_modules_and_functions_are_short(module: str) -> None:
    text = PATHS[module].read_text("utf-8")
    assert len(text.splitlines()) <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            length = (node.end_lineno or 0) - node.lineno - len((docstring or "").splitlines())
            assert length <= 60, node.name


PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY")
KEY_NUMBERS = re.compile(rb"[A-Za-z0-9+/_=-]{200,}|[0-9a-fA-F]{200,}|[0-9]{200,}")


def test_no_file_of_the_package_contains_a_private_key() -> None:
    for path in Path(entra_guard.__file__).parent.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            content = path.read_bytes()
            assert not PRIVATE_KEY.search(content), path
            assert not KEY_NUMBERS.search(content), path
