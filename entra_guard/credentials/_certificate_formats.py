r"""Read private keys and certificates from PEM or PFX as secret stores deliver them. Pure.

PEM with its line breaks written as `\n` or turned into blanks, base64 around PEM or PFX, UTF-16 and byte
order marks are accepted: each is unambiguous, and each costs people an afternoon.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)

from entra_guard.credentials._text_encodings import to_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable

_BEGIN: Final = b"-----BEGIN "
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_CERTIFICATES: Final = ("CERTIFICATE", "X509 CERTIFICATE")
_PRIVATE_KEY: Final = "PRIVATE KEY"
# How a PFX begins: a sequence of some length whose first element is the version, 3 (RFC 7292 section 4).
_PFX: Final = re.compile(rb"\x30(?:[\x00-\x80]|\x81.|\x82..|\x83...|\x84....)\x02\x01\x03", re.DOTALL)
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-][A-Za-z0-9+/_\s-]{60,}={0,2}\s*")
_LONGEST_PATH: Final = 400


class UnusableCertificateError(ValueError):
    """The data is not a certificate with its private key; the message says what is wrong."""


class KeysAndCertificates(NamedTuple):
    """What a file holds, in the file's order."""

    keys: list[Any]
    certificates: list[x509.Certificate]


class _Block(NamedTuple):
    label: str
    pem: bytes


def read_keys_and_certificates(data: bytes, password: bytes | None) -> KeysAndCertificates:
    """Read the private keys and certificates in PEM (in any order) or PFX (PKCS #12).

    Raises:
        UnusableCertificateError: There are no keys or no certificates, or they cannot be read.
    """
    text = to_utf8(data)
    if not text.strip():
        raise UnusableCertificateError("it is empty")
    found = _read(text, password)
    if found is None and (decoded := _decoded_base64(text)) is not None:
        found = _read(to_utf8(decoded), password)
        if found is None:
            raise UnusableCertificateError(
                f"it is base64, and what it encodes cannot be used: {_unknown(decoded)}"
            )
    if found is None:
        raise UnusableCertificateError(_unknown(text))
    return found


def _read(data: bytes, password: bytes | None) -> KeysAndCertificates | None:
    if _BEGIN in data:
        return _from_pem(data, password)
    return _from_pfx(data, password) if _PFX.match(data) else None


def _decoded_base64(text: bytes) -> bytes | None:
    stripped = text.strip().strip(b"\"'").replace(b"\\r", b"").replace(b"\\n", b"")
    if not _BASE64.fullmatch(stripped):
        return None
    compact = b"".join(stripped.split()).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except ValueError:
        return None


# --- PEM ---------------------------------------------------------------------------------------------


def _from_pem(data: bytes, password: bytes | None) -> KeysAndCertificates:
    blocks = _blocks(data)
    labels = [block.label for block in blocks]
    if data.count(_BEGIN) > len(blocks):
        what = "private key" if _open_label(data, blocks).endswith(_PRIVATE_KEY) else "PEM text"
        raise UnusableCertificateError(f"its {what} is damaged or cut off: an '-----END' line is missing")
    if not any(label.endswith(_PRIVATE_KEY) for label in labels):
        raise UnusableCertificateError(f"it holds no private key, only: {', '.join(sorted(set(labels)))}")
    keys = _keys([block.pem for block in blocks if block.label.endswith(_PRIVATE_KEY)], password)
    listed = [block.pem for block in blocks if block.label in _CERTIFICATES]
    certificates = [found for pem in listed if (found := _certificate(pem)) is not None]
    if not certificates:
        problem = "a certificate that is damaged" if listed else "no certificate"
        raise UnusableCertificateError(f"it holds a private key and {problem}")
    return KeysAndCertificates(keys, certificates)


def _blocks(data: bytes) -> list[_Block]:
    """Split PEM into its blocks, each with the line breaks that a secret store may have changed."""
    text = data.replace(b"\\r", b"").replace(b"\\n", b"\n")
    return [_Block(found[1].decode(), _rewrapped(found)) for found in _BLOCK.finditer(text)]


def _rewrapped(found: re.Match[bytes]) -> bytes:
    label, body = found[1], found[2]
    if b":" not in body:  # the headers of an encrypted key in the traditional form need their lines
        joined = b"".join(body.split())
        body = b"\n" + b"\n".join(joined[n : n + 64] for n in range(0, len(joined), 64)) + b"\n"
    return b"-----BEGIN %b-----%b-----END %b-----\n" % (label, body, label)


def _open_label(data: bytes, blocks: list[_Block]) -> str:
    """Return the label of the first block that does not end."""
    begun: list[bytes] = re.findall(rb"-----BEGIN ([A-Z0-9 ]+)-----", data)
    whole = [block.label for block in blocks]
    for label in (each.decode() for each in begun):
        if label not in whole:
            return label
        whole.remove(label)
    return ""


def _keys(pems: Iterable[bytes], password: bytes | None) -> list[Any]:
    """Return the keys that can be read; raise the first problem if there are none."""
    keys: list[Any] = []
    problems: list[str] = []
    for pem in pems:
        try:
            keys.append(load_pem_private_key(pem, password))
        except TypeError:
            words = "no password was given" if password is None else "it is not encrypted: omit the password"
            problems.append(f"its private key cannot be read: {words}")
        except UnsupportedAlgorithm:
            problems.append("its private key is of a kind, or encrypted in a way, that is not supported")
        except ValueError:
            problems.append(_unreadable_key(pem, password))
    if not keys:
        raise UnusableCertificateError(problems[0])
    return keys


def _unreadable_key(pem: bytes, password: bytes | None) -> str:
    if pem.startswith(b"-----BEGIN OPENSSH "):
        return "its private key is in OpenSSH's format: convert it with 'ssh-keygen -p -m PKCS8 -f FILE'"
    return "its private key is damaged" if password is None else "its password is wrong"


def _certificate(pem: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(pem)
    except (ValueError, UnsupportedAlgorithm):
        return None


# --- PFX ---------------------------------------------------------------------------------------------


def _from_pfx(data: bytes, password: bytes | None) -> KeysAndCertificates:
    # No password and an empty one are different things in PKCS #12, and the same to people.
    key, own, above = _open_pfx(data, [password] if password else [None, b""])
    if key is None or own is None:
        raise UnusableCertificateError("it holds no private key with its certificate")
    return KeysAndCertificates([key], [own, *above])


def _open_pfx(
    data: bytes, passwords: Iterable[bytes | None]
) -> tuple[Any, x509.Certificate | None, list[x509.Certificate]]:
    given = False
    for password in passwords:
        given = given or bool(password)
        try:
            return pkcs12.load_key_and_certificates(data, password)
        except UnsupportedAlgorithm:
            raise UnusableCertificateError(
                "its encryption is not supported: export it again with AES-256"
            ) from None
        except ValueError:
            continue
    words = "its password is wrong, or it is damaged" if given else "it needs a password, or it is damaged"
    raise UnusableCertificateError(words)


# --- neither -----------------------------------------------------------------------------------------


def _unknown(data: bytes) -> str:
    """Say what data is that is neither PEM nor PFX, without quoting it."""
    if _loads(x509.load_der_x509_certificate, data):
        return "it is a certificate alone (.cer or .der), with no private key: export it as PFX"
    if _loads(partial(load_der_private_key, password=None), data):
        return "it is a private key alone (DER), without its certificate"
    if _loads(json.loads, data) and data.lstrip().startswith(b"{"):
        return "it is a JSON object: pass the certificate inside it alone (Key Vault calls it 'value')"
    if len(data) < _LONGEST_PATH and b"\n" not in data.strip() and (b"/" in data or b"\\" in data):
        return "it is neither PEM nor PFX; if it is a path, pass it as certificate_path"
    return "it is neither PEM nor PFX; a .cer or .der file holds no private key"


def _loads(load: Any, data: bytes) -> bool:
    try:
        load(data)
    except (ValueError, TypeError, UnsupportedAlgorithm, RecursionError):
        return False
    return True
