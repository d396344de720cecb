"""Marks for the whole suite: `slow` for tests that start servers, browsers or other processes."""

from __future__ import annotations

from pathlib import Path

import pytest

SLOW_FOLDERS = {"servers", "processes", "mcp_servers"}
SLOW_FILES = (
    "test_browser_",
    "test_redis",
    "test_examples",
    "test_fixtures",
    "test_cli_demo",
    "test_cli_emulator",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = Path(item.path)
        if path.parent.name in SLOW_FOLDERS or path.name.startswith(SLOW_FILES):
            item.add_marker(pytest.mark.slow)
