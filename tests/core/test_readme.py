"""The README keeps its word: its Python runs, its tables are the code's own, its commands are CI's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_python_in_the_readme_runs(block):
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("name", ["reasons", "checklist"])
def test_a_generated_table_is_the_one_that_the_command_line_prints(name):
    command = [str(Path(sys.executable).parent / "entra-guard"), name, "--markdown"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    shown = re.search(rf"<!-- generated: {name} -->\n(.*?)<!-- end -->", README, re.DOTALL)
    assert shown
    assert shown[1].strip() == printed.strip()


@pytest.mark.parametrize("name", ["demo", "tests"])
def test_each_of_the_two_commands_is_one_line(name):
    shown = re.search(rf"<!-- command: {name} -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert shown
    assert len(shown[1].strip().splitlines()) == 1


def test_nothing_committed_names_this_machine_or_a_package_registry():
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    registries = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "deb.debian" + ".org"]
    for name in filter(None, files):
        text = (ROOT / name).read_text(errors="ignore")
        assert not [registry for registry in registries if registry in text], name
        assert not re.search(r"(?<![\w.])/(work|farm)/", text), name
