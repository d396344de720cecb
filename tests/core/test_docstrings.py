"""The examples in the docstrings run, with the package's public names imported."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil

import pytest

import entra_guard
from entra_guard.emulator import Emulator

HAS_MCP_2 = bool(importlib.util.find_spec("mcp") and importlib.util.find_spec("mcp.server.mcpserver"))
MODULES = [
    module.name
    for module in pkgutil.walk_packages(entra_guard.__path__, "entra_guard.")
    if module.name.split(".")[1] not in ("django", "drf")  # these need settings to be imported
    and (HAS_MCP_2 or not module.name.startswith("entra_guard.cli.demo._mcp_"))
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name):
    public = {word: getattr(entra_guard, word) for word in entra_guard.__all__}
    public |= {"Emulator": Emulator, "entra": Emulator(seed=1)}
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    for example in finder.find(module, name, extraglobs=public):
        if (
            example.examples
        ):  # to run a docstring without any is slow: it looks at each file with cached lines
            runner.run(example)
    assert runner.failures == 0
