"""The environments that the tests of MCP servers run in: one for each line of the SDKs.

`python tests/mcp_servers/mcp_environments.py FOLDER` makes them. The tests look in the folder that
MCP_ENVIRONMENTS names.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = {
    "mcp1": ["mcp>=1.26,<2", "fastmcp>=2.14,<3"],
    "mcp2": ["mcp>=2", "fastmcp>=4"],
    # Apart: fastmcp-tasks requires one version of fastmcp, not always the latest.
    "tasks": ["fastmcp[tasks]>=4"],
}


def make(folder: Path) -> None:
    """Make an environment for each line, with this package's dependencies; those that exist stay."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["emulator"]]
    for name, packages in LINES.items():
        python = folder / name / "bin" / "python"
        if not python.exists():
            venv.create(folder / name, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages, *needed], check=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
