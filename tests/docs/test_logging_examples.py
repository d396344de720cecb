"""The examples for JSON logs and structlog in docs/operations.md write the fields of a decision as JSON."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from entra_guard.asgi import GuardMiddleware
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(("function", "name"), [("log_json", "auth"), ("log_with_structlog", "entra_guard")])
@pytest.mark.usefixtures("_logging_as_before")
def test_a_refusal_is_one_line_of_json(function: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(next(block for block in blocks if f"def {function}(" in block), names)
    guard = Entra().guard(strict_startup=True)  # no thread logs anything later
    names[function]()
    guarded = TestClient(GuardMiddleware(lambda *_: None, guard=guard))  # type: ignore[arg-type]
    guarded.get("/orders", headers={"authorization": "Bearer x.y.z", "x-request-id": "7f3a"})
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (line,) = [line for line in lines if name in line]
    assert line["level"].upper() == "WARNING"
    assert line[name]["reason"] == "not_a_jwt"
    assert line[name]["request_id"] == "7f3a"
