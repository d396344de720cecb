"""Signing keys: the predefined ones, generated ones for rotation, and the set that is in use.

Predefined keys are kept in the user's cache folder: generating an RSA key takes tens of milliseconds.
A rotation always uses a key that the emulator has not used before. These keys are generated once per process
and shared by its emulators.
"""

from __future__ import annotations

import base64
import functools
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from cryptography.hazmat.primitives import serialization

from entra_guard.emulator._store.encoding import base64url, thumbprint
from entra_guard.emulator._store.key_cache import load_or_generate
from entra_guard.emulator._store.key_material import KeyMaterial, generate_material

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cryptography.hazmat.primitives.asymmetric import rsa

Realm = Literal["organizations", "consumers", "us-government", "app", "unpublished"]
PUBLIC_CLOUD: Final = "microsoftonline.com"
US_GOVERNMENT: Final = "microsoftonline.us"
_PREDEFINED: Final[Mapping[str, tuple[Realm, str]]] = {
    "signing": ("organizations", PUBLIC_CLOUD),
    "next": ("organizations", PUBLIC_CLOUD),
    "consumers": ("consumers", PUBLIC_CLOUD),
    "us-government": ("us-government", US_GOVERNMENT),
    "forger": ("unpublished", PUBLIC_CLOUD),
    "workloads": ("unpublished", PUBLIC_CLOUD),
}


def _no_app_keys() -> Mapping[str, SigningKey]:
    return {}


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A key that the emulator signs with, and its facts in the key documents.

    Attributes:
        kid: The key's identifier: base64url of the SHA-1 of its certificate, as in Entra.
        realm: Whose tokens it signs; `unpublished` for a key that appears in no document.
        cloud: Its `cloud_instance_name` in the documents.
        since: When it was first used, in seconds since 1970; 0 for a key of the start.
    """

    kid: str
    realm: Realm
    cloud: str
    private_key: rsa.RSAPrivateKey = field(repr=False)
    modulus: str = field(repr=False)
    certificate: str = field(repr=False)
    since: float = 0.0

    @classmethod
    def of(cls, material: KeyMaterial, realm: Realm, cloud: str, *, kid: str = "") -> SigningKey:
        """Return the key of a key pair; by default its kid is that of its certificate."""
        number = material.private_key.public_key().public_numbers().n
        return cls(
            kid=kid or base64url(thumbprint(material.certificate)),
            realm=realm,
            cloud=cloud,
            private_key=material.private_key,
            modulus=base64url(number.to_bytes((number.bit_length() + 7) // 8, "big")),
            certificate=base64.b64encode(material.certificate).decode(),
        )

    def public_pem(self) -> bytes:
        """Return the public key as PEM, which a vulnerable verifier would use as an HMAC secret."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private_key.public_key().public_bytes(serialization.Encoding.PEM, form)


@dataclass(frozen=True, slots=True)
class SigningKeySet:
    """The keys in use. The first of `organizations` signs; all of them are published."""

    organizations: tuple[SigningKey, ...]
    consumers: SigningKey
    government: SigningKey
    apps: Mapping[str, SigningKey] = field(default_factory=_no_app_keys)
    withdrawn: frozenset[str] = frozenset()

    def published(self) -> Iterator[SigningKey]:
        """Iterate over the keys in the documents: of organisations and, as in Entra, of other realms."""
        all_keys = (*self.organizations, self.consumers, self.government)
        return (key for key in all_keys if key.kid not in self.withdrawn)

    def signing(self) -> SigningKey:
        return self.organizations[0]

    def for_api(self, client_id: str, *, personal: bool) -> SigningKey:
        """Return the key that signs tokens for this API."""
        return self.consumers if personal else self.apps.get(client_id, self.signing())

    def rotated(self, new: SigningKey, *, overlap: bool) -> SigningKeySet:
        """Return the set with a new signing key; with `overlap`, the old keys stay published."""
        kept = tuple(k for k in self.organizations if k.kid != new.kid) if overlap else ()
        return replace(self, organizations=(new, *kept))

    def without(self, kid: str) -> SigningKeySet:
        """Return the set without that key. If it was the signing key, the next key signs.

        Raises:
            ValueError: It is the last signing key.
        """
        rest = tuple(k for k in self.organizations if k.kid != kid)
        if not rest:
            raise ValueError(f"{kid} is the last signing key: call rotate_keys() first, then withdraw it.")
        return replace(self, organizations=rest, withdrawn=self.withdrawn | {kid})


def first_key_set() -> SigningKeySet:
    """Return the keys every emulator starts with."""
    return SigningKeySet(
        organizations=(predefined_key("signing"), predefined_key("next")),
        consumers=predefined_key("consumers"),
        government=predefined_key("us-government"),
    )


@functools.cache
def predefined_key(name: str) -> SigningKey:
    """Return the predefined key of that name; it is the same in every process of this user."""
    realm, cloud = _PREDEFINED[name]
    return SigningKey.of(_predefined_material()[name], realm, cloud)


@functools.cache
def _predefined_material() -> Mapping[str, KeyMaterial]:
    return load_or_generate(tuple(_PREDEFINED))


_generated: list[SigningKey] = []
_generated_lock = threading.Lock()
_FIRST_SERIAL: Final = 1000


def generated_key(number: int) -> SigningKey:
    """Return the n-th (0-based) generated key of this process, generating it if needed."""
    with _generated_lock:
        while len(_generated) <= number:
            material = generate_material(_FIRST_SERIAL + len(_generated))
            _generated.append(SigningKey.of(material, "organizations", PUBLIC_CLOUD))
        return _generated[number]


def with_kid(key: SigningKey, kid: str) -> SigningKey:
    """Return the key under another kid."""
    return replace(key, kid=kid)
