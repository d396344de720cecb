"""The whole state as one file, so that an emulator continues where the last one ended.

The file contains test keys and hashes of secrets. It is written in one step, and only its owner can read it.
"""

from __future__ import annotations

import base64
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from entra_guard.emulator._store.directory import Directory  # noqa: TC001 (msgspec reads the annotations)
from entra_guard.emulator._store.faults import Fault
from entra_guard.emulator._store.key_material import KeyMaterial, load_material, private_bytes
from entra_guard.emulator._store.sessions import Sessions  # noqa: TC001 (the same)
from entra_guard.emulator._store.signing_keys import Realm, SigningKey, SigningKeySet
from entra_guard.emulator._store.store import ClockSetting, State

VERSION: Final = 1
_LARGEST: Final = 256 * 1024 * 1024


class StateFileError(ValueError):
    """The file cannot be used. The message says why, and what to do."""


class _Key(msgspec.Struct, frozen=True):
    kid: str
    realm: Realm
    cloud: str
    private_key: bytes
    certificate: bytes


class _Keys(msgspec.Struct, frozen=True):
    organizations: tuple[_Key, ...]
    consumers: _Key
    government: _Key
    apps: dict[str, _Key]
    withdrawn: frozenset[str]


class _Document(msgspec.Struct, frozen=True):
    """What the file contains. Faults with a time limit are left out: the time passes between runs."""

    version: int
    directory: Directory
    keys: _Keys
    clock: ClockSetting
    sessions: Sessions
    faults: tuple[_Fault, ...]
    identity_header: str


class _Fault(msgspec.Struct, frozen=True):
    target: str
    how: str
    number: int
    times: int | None
    delay: float | None
    retry_after: float | None
    probability: float


def encode_state(state: State) -> bytes:
    """Return a state as the file's content."""
    keys = state.keys
    saved = _Keys(
        tuple(map(_encode_key, keys.organizations)),
        _encode_key(keys.consumers),
        _encode_key(keys.government),
        {client_id: _encode_key(key) for client_id, key in keys.apps.items()},
        keys.withdrawn,
    )
    lasting = (fault for fault in state.faults if fault.until is None)
    faults = tuple(
        _Fault(f.target, f.how, f.number, f.times, f.delay, f.retry_after, f.probability) for f in lasting
    )
    document = _Document(
        VERSION, state.directory, saved, state.clock, state.sessions, faults, state.identity_header
    )
    return msgspec.json.encode(document)


def decode_state(content: bytes) -> State:
    """Return the state in a file's content.

    Raises:
        StateFileError: It is not one that this version wrote.
    """
    try:
        found = msgspec.json.decode(content, type=_Document)
        keys = SigningKeySet(
            tuple(map(_decode_key, found.keys.organizations)),
            _decode_key(found.keys.consumers),
            _decode_key(found.keys.government),
            {client_id: _decode_key(key) for client_id, key in found.keys.apps.items()},
            found.keys.withdrawn,
        )
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise StateFileError(f"it is not a state of this version of the emulator ({error})") from None
    if found.version != VERSION or not found.directory.tenants or not keys.organizations:
        raise StateFileError(f"it has version {found.version}, and this emulator reads version {VERSION}")
    faults = tuple(Fault(**msgspec.structs.asdict(fault), keys=keys) for fault in found.faults)
    return State(
        found.directory, keys, found.clock, faults, found.sessions, identity_header=found.identity_header
    )


def _encode_key(key: SigningKey) -> _Key:
    certificate = base64.b64decode(key.certificate)
    return _Key(
        key.kid, key.realm, key.cloud, private_bytes(KeyMaterial(key.private_key, certificate)), certificate
    )


def _decode_key(saved: _Key) -> SigningKey:
    material = load_material(saved.private_key, saved.certificate)
    return SigningKey.of(material, saved.realm, saved.cloud, kid=saved.kid)


def read_state(path: Path) -> State | None:
    """Return the state in a file; None if there is no file.

    Raises:
        StateFileError: The file cannot be read, or is not a state.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        path.chmod(0o600)  # the file may be a copy with other permissions
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateFileError(f"it cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise StateFileError(f"it is larger than {_LARGEST // 1024 // 1024} MiB")
    return decode_state(content)


def write_state(path: Path, state: State) -> None:
    """Replace the file in one step, readable by its owner only.

    Raises:
        OSError: The file cannot be written.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(encode_state(state))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


class StateKeeper:
    """Save a state that changed.

    Args:
        path: The file.
        saved: The state in it.
    """

    def __init__(self, path: Path, saved: State | None) -> None:
        self._path = path
        self._saved: Any = saved
        self._version = _file_version(path)

    def save(self, state: State) -> None:
        """Write the file if the state is not the one that was saved last.

        Raises:
            OSError: The file cannot be written.
            StateFileError: Another program wrote it: its content would be lost.
        """
        if state is self._saved:
            return
        if _file_version(self._path) not in {None, self._version}:
            raise StateFileError("another emulator has changed the file")
        write_state(self._path, state)
        self._saved, self._version = state, _file_version(self._path)


def _file_version(path: Path) -> tuple[int, int, int] | None:
    """Return what changes whenever the file is replaced; None if there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
