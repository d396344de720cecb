"""The wheel: small, nothing but the package, and without a private key."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_BYTES = 1_000_000  # with the pages of the portal
KINDS = {".py", ".typed", ".html", ".css", ".js", ".svg"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_is_small(wheel):
    assert Path(wheel.filename).stat().st_size <= MOST_BYTES


def test_the_wheel_has_only_the_package_and_its_metadata(wheel):
    names = [name for name in wheel.namelist() if ".dist-info/" not in name]
    assert {name.split("/")[0] for name in names} == {"entra_guard"}
    assert {Path(name).suffix for name in names} <= KINDS


def test_the_wheel_has_no_private_key(wheel):
    for name in wheel.namelist():
        assert b"-----BEGIN PRIVATE KEY-----\n" not in wheel.read(name), name
