"""Files that hold a credential's proof: read when needed, and known to have changed by their stamp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard.credentials._token_errors import CredentialUnavailableError
from entra_guard.errors import TokenAcquisitionError

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST: Final = 256 * 1024


def stamp(path: Path) -> object:
    """What changes with a file's content: a moment, a place and a size; never None.

    A secret mounted by Kubernetes is a link to a new file after each rotation.
    """
    try:
        status = path.stat()
    except OSError as error:
        return error.errno
    return status.st_mtime_ns, status.st_ino, status.st_size


def read(path: Path, what: str) -> bytes:
    """Read a file that holds some proof.

    Raises:
        TokenAcquisitionError: It cannot be read; it may be there later.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        kind = CredentialUnavailableError if isinstance(error, FileNotFoundError) else TokenAcquisitionError
        raise kind(
            f"No token: the {what} cannot be read from {path} ({error.strerror}).",
            error="file",
            retryable=True,
        ) from None
    if len(content) > _LARGEST:
        raise TokenAcquisitionError(
            f"No token: {path} is larger than any {what} ({_LARGEST} bytes).", error="file", retryable=True
        )
    return content


def read_line(path: Path, what: str) -> str:
    """Read a file of one line, without the white space around it.

    Raises:
        TokenAcquisitionError: It cannot be read, or is empty.
    """
    try:
        line = read(path, what).decode("ascii").strip()
    except UnicodeDecodeError:
        line = ""
    if not line:
        raise TokenAcquisitionError(f"No token: {path} holds no {what}.", error="file", retryable=True)
    return line
