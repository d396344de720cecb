"""The test keys: generated once, kept in the user's cache folder, and never trusted blindly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from entra_guard.emulator._store import key_cache
from entra_guard.emulator._store.key_cache import FILE_NAME, cache_folder, load_or_generate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._store.key_material import KeyMaterial

NAMES = ("first", "second")
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="file modes and owners exist on POSIX only")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "entra-guard"


def numbers(keys: Mapping[str, KeyMaterial]) -> list[int]:
    return [keys[name].private_key.private_numbers().d for name in NAMES]


def test_keys_are_generated_once_and_then_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generated = numbers(load_or_generate(NAMES))
    monkeypatch.setattr(key_cache, "generate_material", None)
    assert numbers(load_or_generate(NAMES)) == generated


@needs_posix
def test_only_the_user_can_read_file_and_folder(folder: Path) -> None:
    load_or_generate(NAMES)
    assert (folder / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def truncated(text: str) -> str:
    return text[: len(text) // 2]


def with_changed_key(text: str) -> str:
    document = json.loads(text)
    document["keys"]["first"] = document["keys"]["second"]
    return json.dumps(document)


def with_valid_checksum_of_other_keys(text: str) -> str:
    document = json.loads(text)
    document["keys"] = {"first": ["AAAA", "AAAA"], "second": ["AAAA", "AAAA"]}
    document["sha256"] = key_cache._checksum(document["keys"])
    return json.dumps(document)


@pytest.mark.parametrize(
    "change",
    [
        truncated,
        with_changed_key,
        with_valid_checksum_of_other_keys,
        lambda _: "",
        lambda _: "{}",
        lambda _: "[]",
        lambda _: '{"keys": 1, "sha256": 2}',
        lambda _: "[" * 50_000,
        lambda text: text + " " * (65 * 1024),
    ],
)
def test_a_corrupt_or_foreign_file_is_replaced(folder: Path, change: object) -> None:
    first = numbers(load_or_generate(NAMES))
    path = folder / FILE_NAME
    path.write_text(change(path.read_text()))
    second = numbers(load_or_generate(NAMES))
    assert second != first
    assert numbers(load_or_generate(NAMES)) == second


@needs_posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o620])
def test_a_file_that_others_can_access_is_replaced(folder: Path, mode: int) -> None:
    first = numbers(load_or_generate(NAMES))
    (folder / FILE_NAME).chmod(mode)
    assert numbers(load_or_generate(NAMES)) != first
    assert (folder / FILE_NAME).stat().st_mode & 0o777 == 0o600


@needs_posix
def test_a_file_of_another_user_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = numbers(load_or_generate(NAMES))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert numbers(load_or_generate(NAMES)) != first


@needs_posix
def test_a_symbolic_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    first = numbers(load_or_generate(NAMES))
    elsewhere = (folder / FILE_NAME).rename(tmp_path / "elsewhere.json")
    (folder / FILE_NAME).symlink_to(elsewhere)
    assert numbers(load_or_generate(NAMES)) != first
    assert not (folder / FILE_NAME).is_symlink()


@needs_posix
def test_a_named_pipe_does_not_block(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o700)
    os.mkfifo(folder / FILE_NAME)
    assert len(load_or_generate(NAMES)) == 2


@needs_posix
def test_a_folder_that_others_can_write_is_not_used(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert numbers(load_or_generate(NAMES)) != numbers(load_or_generate(NAMES))
    assert not [*folder.iterdir()]


def test_without_a_writable_folder_the_keys_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(load_or_generate(NAMES)) == 2


def test_without_a_home_folder_the_keys_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", no_home)
    assert cache_folder() is None
    assert len(load_or_generate(NAMES)) == 2


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/var/cache/me"}, "/var/cache/me/entra-guard"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/entra-guard"),
        ("linux", {"XDG_CACHE_HOME": ""}, "/home/me/.cache/entra-guard"),
        ("darwin", {}, "/home/me/Library/Caches/entra-guard"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/entra-guard"),
    ],
)
def test_the_folder_follows_the_platforms_rules(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: str
) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert cache_folder() == Path(expected)


def test_parallel_processes_use_the_same_keys(folder: Path) -> None:
    """This is how xdist workers start."""
    code = "from entra_guard.emulator import Emulator; print([key.kid for key in Emulator().keys])"

    def run(_number: int) -> str:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return done.stdout

    with ThreadPoolExecutor(3) as pool:
        assert len({*pool.map(run, range(3))}) == 1
