"""RSA keys of certificates, generated and parsed once for all tests: each takes longer than most tests."""

from __future__ import annotations

import threading
from functools import cache
from itertools import count
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from entra_guard.credentials import _certificate_formats
from entra_guard.emulator._store import key_material

if TYPE_CHECKING:
    from collections.abc import Iterator

generate = key_material.generate_key
# Keys are immutable, so what was parsed once is as good as parsed anew.
parse_once = cache(load_pem_private_key)
GENERATED: list[RSAPrivateKey] = []
LOCK = threading.Lock()


@pytest.fixture(autouse=True)
def _keys_are_reused() -> Iterator[None]:
    """Generate different keys within one test, and in the next test the same keys again.

    Credentials parse each PEM file once: to validate the numbers of a key takes 40 ms.
    """
    numbers = count()

    def reuse() -> RSAPrivateKey:
        with LOCK:
            number = next(numbers)
            if number == len(GENERATED):
                GENERATED.append(generate())
            return GENERATED[number]

    key_material.generate_key = reuse
    _certificate_formats.load_pem_private_key = parse_once
    yield
    key_material.generate_key = generate
    _certificate_formats.load_pem_private_key = load_pem_private_key


def private_key(pem: bytes) -> RSAPrivateKey:
    """Return the RSA key of a PEM file; its numbers are validated."""
    key = parse_once(pem, None)
    assert isinstance(key, RSAPrivateKey)
    return key
