"""Read files that hold a credential's proof, and notice that they have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard.credentials._text_encodings import to_utf8
from entra_guard.credentials._token_errors import CredentialUnavailableError
from entra_guard.errors import TokenAcquisitionError

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST: Final = 256 * 1024


def file_stamp(path: Path) -> object:
    """Return a value that changes with a file's content: modification time, inode and size; never None.

    A secret mounted by Kubernetes is a link to a new file after each rotation.
    """
    try:
        status = path.stat()
    except OSError as error:
        return error.errno
    return status.st_mtime_ns, status.st_ino, status.st_size


def read_file(path: Path, what: str) -> bytes:
    """Read a file that holds a proof.

    Args:
        path: The file.
        what: What it holds, for the error.

    Raises:
        TokenAcquisitionError: It cannot be read; it may exist later.
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
    if len(content) <= _LARGEST:
        return content
    del content  # no frame of an error holds a secret
    raise TokenAcquisitionError(
        f"No token: {path} is larger than any {what} ({_LARGEST} bytes).", error="file", retryable=True
    )


def read_line(path: Path, what: str) -> str:
    """Read a file of one line, without the white space around it; UTF-16 and byte order marks are accepted.

    Raises:
        TokenAcquisitionError: The file cannot be read, is empty, or holds more than one line of ASCII.
    """
    content = to_utf8(read_file(path, what)).strip()
    problem = _problem_with(content)
    if not problem:
        return content.decode("ascii")
    del content  # no frame of an error holds a secret
    raise TokenAcquisitionError(
        f"No token: {path} {problem}; it must hold the {what} alone.", error="file", retryable=True
    )


def _problem_with(line: bytes) -> str:
    if not line:
        return "is empty"
    if not line.isascii():
        return "holds characters that are not ASCII"
    return "" if line.decode("ascii").isprintable() else "holds several lines or control characters"
