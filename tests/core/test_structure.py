"""The house: which module may lean on which, and what an import brings along."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import entra_guard

HOUSE = Path(entra_guard.__file__).parent

# A module imports only from layers below its own.
LAYERS = [
    {"reasons", "_guid", "_issuer", "_bounded", "_key_keeper", "_waiting", "_late_imports"},
    {"errors"},
    {"_json", "_shared_work", "_keys", "policy"},
    {"_claims", "_jws", "_http", "principal"},
    {"_metadata", "requirement", "checklist", "_verdicts"},
    {"_key_store", "_environment", "_serving"},
    {"_key_fetch"},
    {"_keys_file"},
    {"_key_ring"},
    {"_decision", "_explain", "_health"},
    {"_any_guard"},
    {"guard", "credentials"},
    {"graph"},
    {"_request", "requires", "_environ", "_openapi", "_asgi_expiry", "_cors_order", "_preflight"},
    {"asgi", "wsgi"},
    {"fastapi", "flask", "django"},
    {"drf"},
    {"testing", "cli"},
]
FREE = {"__init__"}  # gathers the public names


def imports_of(path: Path) -> set[str]:
    """The modules of this package that a file imports when it runs; not those for type checkers only."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "entra_guard":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("entra_guard."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.split(".")[1] for alias in node.names if alias.name.startswith("entra_guard.")
            }
    return found


def layer_of(name: str) -> int | None:
    return next((depth for depth, layer in enumerate(LAYERS) if name in layer), None)


def files() -> list[Path]:
    return [path for path in sorted(HOUSE.rglob("*.py")) if path.relative_to(HOUSE).parts[0] != "emulator"]


def room_of(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(HOUSE)))
def test_a_module_leans_only_on_lower_layers(path):
    room = room_of(path)
    if room in FREE:
        return
    depth = layer_of(room)
    assert depth is not None, f"give {room} a layer"
    above = {
        name
        for name in imports_of(path)
        if name != room and (layer_of(name) is None or layer_of(name) >= depth)
    }
    allowed = {"emulator"} if room in ("cli", "testing") else set()
    public = {name for name in above if hasattr(entra_guard, name) and layer_of(name) is None}
    assert above - allowed - (public if depth > layer_of("guard") else set()) == set()


def test_the_emulator_stands_aside():
    for path in (HOUSE / "emulator").rglob("*.py"):
        assert imports_of(path) <= {"emulator"}, path


def test_every_module_says_in_its_first_line_what_it_is():
    for path in HOUSE.rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


def modules_after(statement: str) -> set[str]:
    code = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(' '.join(set(sys.modules) - before))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return {name.split(".")[0] for name in output.split()}


def test_importing_the_package_loads_no_framework_and_no_http_client():
    loaded = modules_after("import entra_guard")
    assert (
        loaded
        & {"starlette", "fastapi", "flask", "django", "httpx", "uvicorn", "click", "rich", "redis", "jwt"}
        == set()
    )
    assert {"cryptography", "msgspec", "pybase64"} <= loaded


def test_the_asgi_adapter_loads_no_framework():
    assert modules_after("import entra_guard.asgi") & {"starlette", "fastapi", "flask", "httpx"} == set()
