"""Find what a function names outside of itself: globals, variables of its closure, and what modules hold.

It reads the bytecode: the names alone do not tell a global `app` from the attribute `self.app`.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dis import get_instructions
from inspect import ismodule
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator


def closure_of(function: Any) -> dict[str, Any]:
    """Return the variables of a function's closure that are assigned."""
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # the cell is empty
            found[name] = cell.cell_contents
    return found


def values_named_by(function: Any) -> dict[str, Any]:
    """Return what a function names, and the functions in it: `app`, `other.app`, or `from other import app`.

    A module that it imports itself is looked into only if it is loaded already.
    """
    variables = {**function.__globals__, **closure_of(function)}
    found = {name: value for name, value in closure_of(function).items() if not ismodule(value)}
    imported: dict[str, ModuleType] = {}  # into local variables
    for code in _codes(function.__code__):
        found |= dict(_named_in(code, variables, imported))
    return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _named_in(
    code: CodeType, variables: dict[str, Any], imported: dict[str, ModuleType]
) -> Iterator[tuple[str, Any]]:
    """Yield names and values in the order of the bytecode; a module's members have its name in theirs."""
    source = module = None  # what IMPORT_FROM reads, and what was loaded last
    for step in get_instructions(code):
        operation, name = step.opname, step.argval
        if operation.startswith(("STORE_FAST", "STORE_DEREF")) and module is not None:
            imported[name] = module
        if not operation.startswith(("LOAD_", "IMPORT_")):
            continue
        value = _MISSING
        if operation == "IMPORT_NAME":
            value = source = _imported(name, variables)
        elif operation == "IMPORT_FROM":
            value = _member(source, name)
        elif operation in {"LOAD_ATTR", "LOAD_METHOD"}:
            value = _member(module, name)
        elif operation.startswith(("LOAD_FAST", "LOAD_DEREF")) and name in imported:
            value = imported[name]
        elif operation in {"LOAD_GLOBAL", "LOAD_DEREF"}:
            value = variables.get(name, _MISSING)
        if value is not _MISSING and not ismodule(value):
            yield (name if module is None else f"{module.__name__}.{name}"), value
        module = value if ismodule(value) else None


_MISSING: Final = object()


def _imported(name: str, variables: dict[str, Any]) -> object:
    """Return a module that is loaded, also by a relative name."""
    package = str(variables.get("__package__") or "")
    return sys.modules.get(name) or sys.modules.get(f"{package}.{name}".strip(".")) or _MISSING


def _member(module: object, name: str) -> object:
    """Return what a module holds; the module itself for a part of its name, as in `import package.other`."""
    if not isinstance(module, ModuleType):
        return _MISSING
    found: object = vars(module).get(name, _MISSING)
    return module if found is _MISSING and name in module.__name__.split(".") else found
