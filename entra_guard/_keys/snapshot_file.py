"""The keys file: an authority's documents on disk, for restarts in an outage and for hosts without egress.

A file is read with the same checks as a response from the network, and refused if others may write it. It
holds public documents only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from entra_guard._common.logs import get_logger
from entra_guard._keys.budget import NEVER
from entra_guard._keys.documents import Documents, Source
from entra_guard._keys.fetch import accept
from entra_guard.errors import EntraGuardError, FetchError

if TYPE_CHECKING:
    from entra_guard._keys.state import Snapshot

log: Final = get_logger("entra_guard.keys")

_FORMAT: Final = 1
# More than the documents of one issuer may have together.
_LIMIT: Final = 512 * 1024
# Without O_NONBLOCK, opening a pipe would wait until another process writes to it.
_READ: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# Seconds that a file may be ahead of this host's clock.
CLOCKS_DIFFER: Final = 300.0


class KeysFileError(EntraGuardError):
    """The keys file must not be used; the message says why."""


class Saved(msgspec.Struct, frozen=True):
    """The file's content: whose documents, since when, and the documents as they were received."""

    format: int
    authority: str
    kind: str
    tenant: str
    fetched_at: float
    v2: dict[str, Any]
    v1: dict[str, Any] | None
    keys: dict[str, Any]
    app_id: str = ""


class KeysFile:
    """One guard's keys file: read when it has changed, written after each fetch.

    Args:
        path: Where it is.
        source: Whose keys it must hold.
    """

    def __init__(self, path: Path, source: Source) -> None:
        self._path = path
        self._source = source
        self._used: tuple[int, ...] | None = None
        self._refused = ""

    def load(self, old: Snapshot | None, *, wall: float, monotonic: float, max_age: float) -> Snapshot | None:
        """Return the file's keys if the file has changed since it was used; log why it is not used.

        Args:
            old: The cached keys.
            wall: Seconds since the epoch.
            monotonic: The same moment in monotonic seconds.
            max_age: How old the file may be, in seconds.
        """
        stamp = _stamp(self._path)
        if stamp in (None, self._used):
            return None
        try:
            documents, age = read(self._path, self._source, now=wall, max_age=max_age)
            snapshot = accept(documents, self._source, old=old, now=monotonic - age, configured_at=NEVER)
        except (KeysFileError, FetchError) as error:
            # It is read again at the next failure: the fault may be this host's clock, or the file's mode.
            level = logging.INFO if str(error) == self._refused else logging.WARNING
            log.log(level, "keys file not used: %s", error)
            self._refused = str(error)
            return None
        self._used, self._refused = stamp, ""
        return snapshot

    def save(self, documents: Documents, wall: float) -> None:
        """Write documents that were accepted; log a failure.

        Args:
            documents: What the authority sent.
            wall: When, in seconds since the epoch.
        """
        try:
            write(self._path, self._source, documents, wall)
            self._used = _stamp(self._path)
        except KeysFileError as error:
            log.warning("keys file not written: %s", error)


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return what distinguishes a file from its predecessor, or None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size, status.st_mode


def write(path: Path, source: Source, documents: Documents, fetched_at: float) -> None:
    """Replace the file in one step, readable and writable by its owner only.

    Args:
        path: Where; its directory must exist.
        source: Whose documents they are.
        documents: What the authority sent and was accepted.
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
        source.app_id,
    )
    content = msgspec.json.encode(saved)
    if len(content) > _LIMIT:
        raise KeysFileError(f"{path} would have {len(content)} bytes; at most {_LIMIT} can be read again")
    try:
        _replace(path, content)
    except OSError as error:
        raise KeysFileError(f"{path} cannot be written: {error.strerror}") from error


def _replace(path: Path, content: bytes) -> None:
    """Put a new file in the old one's place, or change nothing."""
    import tempfile  # noqa: PLC0415  # few guards have a keys file

    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # created with mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave an empty file
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def read(path: Path, source: Source, *, now: float, max_age: float) -> tuple[Documents, float]:
    """Return the file's documents and their age in seconds.

    Args:
        path: The file.
        source: Whose keys are needed.
        now: Seconds since the epoch.
        max_age: How old it may be, in seconds.

    Raises:
        KeysFileError: Unreadable, corrupt, too old, of another authority or tenant, or writable by others.
    """
    saved = load(path)
    wanted = (source.authority.url, source.authority.kind, source.tenant)
    kind = "b2c" if source.authority.kind == "b2c" and saved.kind == "openid" else saved.kind  # as 0.1 wrote
    if (saved.authority, kind, saved.tenant) != wanted:
        raise KeysFileError(f"{path} is of another authority or tenant: {saved.authority}/{saved.tenant}")
    if saved.app_id != source.app_id:
        raise KeysFileError(
            f"{path} has the keys of {_owner(saved.app_id)}, not of {_owner(source.app_id)}: "
            f"pull it again{f' with --app-specific-keys {source.app_id}' if source.app_id else ''}"
        )
    wants_v1 = "1.0" in source.configuration_urls
    if wants_v1 and saved.v1 is None:
        raise KeysFileError(f"{path} lacks the v1.0 configuration; pull it again with v1.0 tokens accepted")
    age = now - saved.fetched_at
    if age >= max_age:
        raise KeysFileError(f"{path} is {age:.0f} s old; at most {max_age:.0f} s are allowed. Pull it again")
    if age < -CLOCKS_DIFFER:
        raise KeysFileError(f"{path} was written {-age:.0f} s in the future; check this host's clock")
    return Documents(saved.v2, saved.v1 if wants_v1 else None, saved.keys), max(0.0, age)


def _owner(app_id: str) -> str:
    return f"the application {app_id}" if app_id else "the tenant"


def load(path: Path) -> Saved:
    """Return the file's content, whatever issuer it is of.

    Raises:
        KeysFileError: Unreadable, corrupt, or writable by others.
    """
    try:
        with os.fdopen(os.open(path, _READ), "rb") as file:
            _refuse_other_writers(path, os.fstat(file.fileno()))
            data = file.read(_LIMIT + 1)
        saved = msgspec.json.decode(data, type=Saved)
    except OSError as error:
        raise KeysFileError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise KeysFileError(f"{path} is corrupt ({type(error).__name__}); pull it again") from error
    if saved.format != _FORMAT:
        raise KeysFileError(f"{path} has format {saved.format}; this version reads format {_FORMAT}")
    return saved


def _refuse_other_writers(path: Path, status: os.stat_result) -> None:
    """Raise if another user can write the file: who writes the keys can sign every token."""
    if not stat.S_ISREG(status.st_mode):
        raise KeysFileError(f"{path} cannot be read: it is not a regular file")
    if os.name != "posix":
        return
    if stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise KeysFileError(f"{path} may be written by other users; chmod 600 it, and pull it again")
    if status.st_uid not in (0, os.geteuid()):
        raise KeysFileError(f"{path} belongs to another user (uid {status.st_uid})")
    for folder in {path.parent, path.resolve().parent}:
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise KeysFileError(
                f"every user may put files into {folder}; chmod o-w it, and pull the file again"
            )
