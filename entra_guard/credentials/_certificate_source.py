"""One configured certificate: read from a file or from memory, and read again when its file changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.audiences import IS_IT_SET
from entra_guard._common.logs import get_logger
from entra_guard.credentials._certificate_formats import UnusableCertificateError
from entra_guard.credentials._client_certificate import read_certificate
from entra_guard.credentials._files import file_stamp, read_file
from entra_guard.credentials._settings import listed
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from entra_guard.credentials._client_certificate import ClientCertificate

log: Final = get_logger("entra_guard.credentials")

_BEGIN: Final = "-----BEGIN"


class CertificateSource:
    """A certificate's file or its content.

    Args:
        source: A path, or the content as bytes.
        password: The password of the private key or of the PFX file.
        now: Seconds since the epoch.

    Raises:
        ConfigurationError: The certificate cannot be used.
    """

    def __init__(self, source: Path | bytes, password: bytes | None, now: float) -> None:
        self._path = source if isinstance(source, Path) else None
        self._password = password
        self._stamp = self.stamp()
        try:
            self.loaded = self._read(source if isinstance(source, bytes) else None, now)
        except TokenAcquisitionError as error:  # `read_file` names the file
            raise ConfigurationError(str(error).removeprefix("No token: ")) from None
        except UnusableCertificateError as error:
            where = "the certificate" if self._path is None else f"the certificate in {self._path}"
            raise ConfigurationError(f"{where} cannot be used: {error}") from None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle; in another process the file is read again, if it is there."""
        return {**self.__dict__, "_stamp": None}

    def stamp(self) -> object:
        """Return a value that changes with the file's content; None for content in memory."""
        return None if self._path is None else file_stamp(self._path)

    def current(self, now: float) -> ClientCertificate:
        """Return the certificate in the file; the previous one while the file cannot be used."""
        stamp = self.stamp()
        if stamp == self._stamp or self._path is None:
            return self.loaded
        try:
            self.loaded = self._read(None, now)
        except (UnusableCertificateError, TokenAcquisitionError) as error:
            log.warning(
                "%s changed and cannot be used; keeping the previous certificate: %s", self._path, error
            )
        else:
            self._stamp = stamp
        return self.loaded

    def _read(self, data: bytes | None, now: float) -> ClientCertificate:
        if data is None and self._path is not None:
            data = read_file(self._path, "certificate")
        return read_certificate(data or b"", self._password, now=now)


def certificate_sources(paths: object, contents: object) -> list[Path | bytes]:
    """Return the configured files or contents, one or several of one kind.

    Raises:
        ConfigurationError: None or both are given, or a value is of another kind.
    """
    if (paths is None) == (contents is None):
        raise ConfigurationError("give either certificate_path or certificate_data")
    sources: list[Path | bytes] = []
    sources += map(_content, listed(contents)) if paths is None else map(_path, listed(paths))
    if not sources:
        raise ConfigurationError("give at least one certificate, got an empty list")
    return sources


def _path(value: object) -> Path:
    if not isinstance(value, str | Path):
        raise ConfigurationError(
            f"certificate_path must be a path or a list of paths, got {type(value).__name__}"
        )
    if value == "":
        raise ConfigurationError(f"certificate_path is empty. {IS_IT_SET}")
    if _BEGIN in str(value):  # the value is a private key: do not quote it
        raise ConfigurationError(
            "certificate_path holds a certificate, not the path of a file: pass it as certificate_data"
        )
    return Path(value)


def _content(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if not isinstance(value, bytes):
        raise ConfigurationError(
            f"certificate_data must be bytes or str, or a list of them, got {type(value).__name__}"
        )
    return value
