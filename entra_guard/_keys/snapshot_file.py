"""The snapshot file: an authority's documents on disk, for restarts in an outage and hosts without egress.

Read with the same acceptance test as an answer from the network, and refused when others may write
it. Holds public documents only. Keeps nothing.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from entra_guard._keys.fetch import Documents, Source
from entra_guard.errors import EntraGuardError

_FORMAT: Final = 1
_LIMIT: Final = 512 * 1024
"""More than the documents of one issuer may have together."""
_READ: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Waits for nobody: to open a pipe would take until somebody writes to it."""
CLOCKS_DIFFER: Final = 300.0
"""Seconds that a file may be ahead of this host's clock."""


class KeysFileError(EntraGuardError):
    """The snapshot file must not be used; the message says why."""


class Saved(msgspec.Struct, frozen=True):
    """The file's content: whose documents, since when, and the documents as they came."""

    format: int
    authority: str
    kind: str
    tenant: str
    fetched_at: float
    v2: dict[str, Any]
    v1: dict[str, Any] | None
    keys: dict[str, Any]


def write(path: Path, source: Source, documents: Documents, fetched_at: float) -> None:
    """Replace the file in one step, readable and writable by its owner only.

    Args:
        path: Where; its directory must exist.
        source: Whose documents they are.
        documents: What came from the network and was accepted.
        fetched_at: When, in seconds since the epoch.

    Raises:
        KeysFileError: It cannot be written there, or could not be read again.
    """
    saved = Saved(
        _FORMAT,
        source.authority.url,
        source.authority.kind,
        source.tenant,
        fetched_at,
        dict(documents.v2),
        None if documents.v1 is None else dict(documents.v1),
        dict(documents.keys),
    )
    content = msgspec.json.encode(saved)
    if len(content) > _LIMIT:
        raise KeysFileError(f"{path} would have {len(content)} bytes, and {_LIMIT} are read at the most")
    try:
        _replace(path, content)
    except OSError as error:
        raise KeysFileError(f"{path} cannot be written: {error.strerror}") from error


def _replace(path: Path, content: bytes) -> None:
    """Put a new file in the old one's place, or leave all as it was."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a file that is there after a power cut, and empty, would be of no use
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def read(path: Path, source: Source, *, now: float, max_age: float) -> tuple[Documents, float]:
    """Read the file's documents and their age in seconds.

    Args:
        path: The file.
        source: Whose keys are wanted.
        now: Seconds since the epoch.
        max_age: How old it may be, in seconds.

    Raises:
        KeysFileError: Unreadable, corrupt, too old, of another authority or tenant, or writable by others.
    """
    saved = load(path)
    wanted = (source.authority.url, source.authority.kind, source.tenant)
    kind = "b2c" if source.authority.kind == "b2c" and saved.kind == "openid" else saved.kind  # as 0.1 wrote
    if (saved.authority, kind, saved.tenant) != wanted:
        raise KeysFileError(f"{path} is of {saved.authority}/{saved.tenant}, another authority or tenant")
    wants_v1 = "1.0" in source.configuration_urls
    if wants_v1 and saved.v1 is None:
        raise KeysFileError(f"{path} lacks the v1.0 configuration: pull it again with v1.0 tokens accepted")
    age = now - saved.fetched_at
    if age >= max_age:
        raise KeysFileError(f"{path} is {age:.0f} seconds old, and {max_age:.0f} are allowed: pull it again")
    if age < -CLOCKS_DIFFER:
        raise KeysFileError(f"{path} is of a time {-age:.0f} seconds ahead: compare this host's clock")
    return Documents(saved.v2, saved.v1 if wants_v1 else None, saved.keys), max(0.0, age)


def load(path: Path) -> Saved:
    """Read the file, whosever keys it holds.

    Raises:
        KeysFileError: Unreadable, corrupt, or writable by others.
    """
    try:
        with os.fdopen(os.open(path, _READ), "rb") as file:
            _refuse_foreign_writers(path, os.fstat(file.fileno()))
            data = file.read(_LIMIT + 1)
        saved = msgspec.json.decode(data, type=Saved)
    except OSError as error:
        raise KeysFileError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise KeysFileError(f"{path} is corrupt ({type(error).__name__}): pull it again") from error
    if saved.format != _FORMAT:
        raise KeysFileError(f"{path} has format {saved.format}, and this version reads {_FORMAT}")
    return saved


def _refuse_foreign_writers(path: Path, status: os.stat_result) -> None:
    """Whoever can write the keys owns the API."""
    if not stat.S_ISREG(status.st_mode):
        raise KeysFileError(f"{path} cannot be read: it is no regular file")
    if os.name != "posix":
        return
    if stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise KeysFileError(
            f"{path} may be written by others than its owner: chmod 600 it, and pull it again"
        )
    if status.st_uid not in (0, os.geteuid()):
        raise KeysFileError(f"{path} belongs to another user (uid {status.st_uid})")
    for folder in {path.parent, path.resolve().parent}:
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise KeysFileError(
                f"everybody may put files into {folder}: chmod o-w it, and pull the file again"
            )
