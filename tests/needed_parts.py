"""Parts a test may need and a machine may lack: without them it is skipped, and in CI it fails."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import NoReturn

import pytest


def needs_program(*names: str) -> str:
    """The path of the first of these programs that is installed.

    Example:
        >>> chromium = needs_program("chromium", "chromium-browser")  # doctest: +SKIP
    """
    for name in names:
        if path := shutil.which(name):
            return path
    return lacking(f"the program {' or '.join(names)}")


def needs_module(name: str) -> None:
    """Require a Python module that no extra of the package brings."""
    if importlib.util.find_spec(name) is None:
        lacking(f"the Python module {name}")


def is_ci() -> bool:
    return os.environ.get("CI") == "true"


def lacking(what: str) -> NoReturn:
    if is_ci():
        pytest.fail(f"{what} is missing, and CI must have it; without CI=true this test is skipped")
    pytest.skip(f"{what} is not installed here")
