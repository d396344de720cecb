"""The snapshot file: an authority's documents on disk, for restarts in an outage and hosts without egress.

Read with the same acceptance test as an answer from the network, and refused when others may write
it. Holds public documents only.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from entra_guard._key_fetch import Documents, Source
from entra_guard.errors import EntraGuardError

_FORMAT: Final = 1
_LIMIT: Final = 512 * 1024


class KeysFileError(EntraGuardError):
    """The snapshot file must not be used; the message says why."""


class _Saved(msgspec.Struct, frozen=True):
    format: int
    authority: str
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
        KeysFileError: It cannot be written there.
    """
    saved = _Saved(
        _FORMAT,
        source.authority.url,
        source.tenant,
        fetched_at,
        dict(documents.v2),
        None if documents.v1 is None else dict(documents.v1),
        dict(documents.keys),
    )
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
        with os.fdopen(handle, "w") as file:
            json.dump(msgspec.to_builtins(saved), file, indent=1)
        Path(temporary).replace(path)
    except OSError as error:
        raise KeysFileError(f"{path} cannot be written: {error.strerror}") from error


def read(path: Path, source: Source) -> tuple[Documents, float]:
    """Read the file's documents and when they were fetched (seconds since the epoch).

    Raises:
        KeysFileError: Unreadable, corrupt, of another authority or tenant, or writable by others.
    """
    saved = _decoded(path)
    if (saved.authority, saved.tenant) != (source.authority.url, source.tenant):
        raise KeysFileError(f"{path} is of {saved.authority}/{saved.tenant}, another authority or tenant")
    if "1.0" in source.configuration_urls and saved.v1 is None:
        raise KeysFileError(f"{path} lacks the v1.0 configuration: pull it again with v1.0 tokens accepted")
    v1 = saved.v1 if "1.0" in source.configuration_urls else None
    return Documents(saved.v2, v1, saved.keys), saved.fetched_at


def _decoded(path: Path) -> _Saved:
    try:
        with path.open("rb") as file:
            _refuse_foreign_writers(path, os.fstat(file.fileno()))
            data = file.read(_LIMIT + 1)
        saved = msgspec.json.decode(data, type=_Saved)
    except OSError as error:
        raise KeysFileError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise KeysFileError(f"{path} is corrupt ({type(error).__name__}): pull it again") from error
    if saved.format != _FORMAT:
        raise KeysFileError(f"{path} has format {saved.format}, and this version reads {_FORMAT}")
    return saved


def _refuse_foreign_writers(path: Path, status: os.stat_result) -> None:
    """Whoever can write the keys owns the API."""
    if os.name != "posix":
        return
    if stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise KeysFileError(
            f"{path} may be written by others than its owner: chmod 600 it, and pull it again"
        )
    if status.st_uid not in (0, os.geteuid()):
        raise KeysFileError(f"{path} belongs to another user (uid {status.st_uid})")
