"""Certificates that are trusted by default: certifi's, or those that SSL_CERT_FILE or SSL_CERT_DIR names."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from entra_guard._common.fork_lock import FORK_LOCK
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from types import ModuleType

_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")

_made: tuple[object, ssl.SSLContext] | None = None


def world() -> tuple[object, ...]:
    """Return what a client or SSL context of ours depends on: it is not used once this differs.

    That is the process (a fork shares locks and connections), the classes that gevent replaces, and the files
    with the trusted certificates.
    """
    ssl, socket = _network_modules()
    return os.getpid(), ssl.SSLContext, socket.socket, *_named_by_environment(), _stamp()


@cache
def _network_modules() -> tuple[ModuleType, ModuleType]:
    """Return `ssl` and `socket`. They are kept: nothing can be imported while the interpreter exits."""
    import socket  # noqa: PLC0415  # both: httpx has loaded them, and `import entra_guard` need not
    import ssl  # noqa: PLC0415

    return ssl, socket


def default_context() -> ssl.SSLContext:
    """Return the SSL context with the default trust; all clients share it.

    Raises:
        ConfigurationError: SSL_CERT_FILE or SSL_CERT_DIR names something that cannot be used.
    """
    global _made  # noqa: PLW0603  # one per process: reading certifi's file takes some 20 ms
    now, made = world(), _made
    if made is None or made[0] != now:
        with FORK_LOCK:
            _made = made = (now, _new_context(*_named_by_environment()))
    return made[1]


def _named_by_environment() -> tuple[str, str]:
    """Return the variable that names trusted certificates, and its value; empty if none does."""
    return next(((name, value) for name in _VARIABLES if (value := os.environ.get(name))), ("", ""))


def _stamp() -> tuple[int, ...] | None:
    """Return what changes when the named file is replaced, as it is when a private CA is renewed."""
    _name, path = _named_by_environment()
    try:
        status = Path(path).stat() if path else None
    except (OSError, ValueError):
        return None
    return status and (status.st_mtime_ns, status.st_ino, status.st_size)


def _new_context(variable: str, path: str) -> ssl.SSLContext:
    import ssl  # noqa: PLC0415  # as above

    if not variable:
        import certifi  # noqa: PLC0415  # httpx depends on it

        return ssl.create_default_context(cafile=certifi.where())
    try:
        if variable == "SSL_CERT_DIR":
            next(Path(path).iterdir(), None)
            return ssl.create_default_context(capath=path)
        Path(path).read_bytes()
        return ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        reason = f"it holds no usable PEM certificates ({error.reason})"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    raise ConfigurationError(
        f"{variable}={path!r} cannot be used: {reason}. Correct the path, or unset {variable} to trust the "
        "usual authorities."
    )
