"""The emulator's test keys, generated at the first use and kept in the user's cache folder.

The package contains no private key. Generating RSA keys takes a few hundred milliseconds, so they are stored
in a file that only the user can read. A file that is corrupt, foreign, readable by others or owned by another
user is not used: it is replaced. If the folder cannot be written, the keys stay in memory.

The keys protect nothing: they sign tokens of an emulator that only this machine can reach.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._store.key_material import (
    KeyMaterial,
    generate_material,
    load_material,
    private_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FILE_NAME: Final = "emulator-test-keys-1.json"
_MAX_SIZE: Final = 64 * 1024
_OTHERS: Final = 0o077


def cache_folder() -> Path | None:
    """Return the user's cache folder for this package; None if the user has none.

    Source: https://specifications.freedesktop.org/basedir-spec/latest/
    """
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    if sys.platform == "win32":
        chosen = os.environ.get("LOCALAPPDATA", "")
    with suppress(RuntimeError):  # no home folder
        home = Path.home()
        fallback = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
        base = Path(chosen) if chosen and Path(chosen).is_absolute() else fallback
        return base / "entra-guard"
    return None


def load_or_generate(names: Sequence[str]) -> Mapping[str, KeyMaterial]:
    """Return one key per name: from the cache folder, or generated and saved there."""
    folder = cache_folder()
    path = folder / FILE_NAME if folder else None
    loaded = _load(path, names) if path else None
    if loaded is not None:
        return loaded
    generated = {name: generate_material(serial) for serial, name in enumerate(names, 1)}
    if path is None or not _save(path, generated):
        return generated
    # Another process may have saved its keys first; all processes use the same file from then on.
    return _load(path, names) or generated


def _load(path: Path, names: Sequence[str]) -> Mapping[str, KeyMaterial] | None:
    """Return the keys in a file; None if it is missing or must not be used."""
    content = _read_own_file(path)
    if content is None:
        return None
    try:
        document: Any = json.loads(content)
        keys, checksum = document["keys"], document["sha256"]
        if set(keys) != set(names) or checksum != _checksum(keys):
            return None
        return {name: load_material(*map(base64.b64decode, keys[name])) for name in names}
    except (ValueError, TypeError, LookupError, RecursionError):
        return None


def _read_own_file(path: Path) -> bytes | None:
    """Return the content of a regular file of this user that others cannot access; otherwise None."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _MAX_SIZE:
            return None
        if sys.platform != "win32" and (facts.st_uid != os.geteuid() or facts.st_mode & _OTHERS):
            return None
        return file.read(_MAX_SIZE)


def _save(path: Path, keys: Mapping[str, KeyMaterial]) -> bool:
    """Write the file in one step, unless another process did; return whether a file exists then."""
    encoded = {
        name: [base64.b64encode(part).decode() for part in (private_bytes(key), key.certificate)]
        for name, key in keys.items()
    }
    content = json.dumps({"purpose": "test keys", "keys": encoded, "sha256": _checksum(encoded)}).encode()
    temporary = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(path.parent):
            return False
        descriptor, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)  # mode 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        _publish(temporary, path, [*keys])
    except OSError:
        return False
    else:
        return True
    finally:
        if temporary:
            with suppress(OSError):
                Path(temporary).unlink()


def _publish(temporary: str, path: Path, names: Sequence[str]) -> None:
    """Give the temporary file its name; keep a usable file that another process wrote meanwhile."""
    if _load(path, names) is not None:
        return
    if not path.is_symlink() and not path.exists():
        with suppress(OSError):  # it exists by now, or the file system has no hard links
            os.link(temporary, path)
            return
        if _load(path, names) is not None:
            return
    Path(temporary).replace(path)


def _is_private(folder: Path) -> bool:
    """Return whether the folder belongs to this user and others cannot write to it."""
    if sys.platform == "win32":
        return True
    facts = folder.stat()
    return facts.st_uid == os.geteuid() and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _checksum(keys: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()
