"""Base64url (RFC 4648 section 5) without padding, and thumbprints, as JOSE uses them."""

from __future__ import annotations

import base64
import binascii
import hashlib


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decode_base64(text: str) -> bytes:
    """Decode base64 in either alphabet, padded or not.

    Raises:
        ValueError: The text is not base64.
    """
    plain = text.rstrip("=").translate(str.maketrans("+/", "-_"))
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def thumbprint(certificate: bytes) -> bytes:
    """Return the SHA-1 of a certificate in DER: `x5t`, the kid of Entra's keys, and what the portal shows."""
    return hashlib.sha1(certificate).digest()  # noqa: S324 (defined as SHA-1)
