"""Signing keys, their certificates and the ring of those in use. Knows no tenant and no document.

A few keys come with the package, because making an RSA key takes tens of milliseconds and tests build many
emulators. They are published on purpose and protect nothing. Rotation always makes new key material, shared
by the emulators of one process, and never gives an emulator a key it has had before.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import threading
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Realm = Literal["organizations", "consumers", "us-government", "app", "nobody"]
PACKAGED: Final = ("signing", "next", "consumers", "us-government", "forger", "workloads")
PUBLIC_CLOUD: Final = "microsoftonline.com"
US_GOVERNMENT: Final = "microsoftonline.us"
_SUBJECT: Final = "accounts.accesscontrol.windows.net"
_START: Final = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


def _no_app_keys() -> Mapping[str, SigningKey]:
    return {}


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A key the emulator signs with, and what its documents say of it.

    Attributes:
        kid: The key's identifier: base64url of the SHA-1 of its certificate, as in Entra.
        realm: Whose tokens it signs; `nobody` for a key that appears in no document.
        cloud: The `cloud_instance_name` the documents give it.
    """

    kid: str
    realm: Realm
    cloud: str
    private_key: rsa.RSAPrivateKey = field(repr=False)
    modulus: str = field(repr=False)
    certificate: str = field(repr=False)

    def public_pem(self) -> bytes:
        """The public key as PEM, which is what a confused verifier takes for an HMAC secret."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private_key.public_key().public_bytes(serialization.Encoding.PEM, form)


@dataclass(frozen=True, slots=True)
class SigningKeySet:
    """The keys in use. The first of `organizations` signs; all of them are published.

    `used` counts the new keys taken from the process so far. It is never turned back, so that a restored
    emulator does not present an old key as a new one.
    """

    organizations: tuple[SigningKey, ...]
    consumers: SigningKey
    government: SigningKey
    apps: Mapping[str, SigningKey] = field(default_factory=_no_app_keys)
    withdrawn: frozenset[str] = frozenset()

    def published(self) -> Iterator[SigningKey]:
        """The keys the documents of organisations show: theirs, and those of other realms, as Entra's do."""
        everyone = (*self.organizations, self.consumers, self.government)
        return (key for key in everyone if key.kid not in self.withdrawn)

    def signing(self) -> SigningKey:
        return self.organizations[0]

    def for_api(self, client_id: str, *, personal: bool) -> SigningKey:
        """The key that signs tokens for this API."""
        return self.consumers if personal else self.apps.get(client_id, self.signing())

    def rotated(self, new: SigningKey, *, overlap: bool) -> SigningKeySet:
        """The ring with a new signing key, the old ones still published or gone."""
        kept = tuple(k for k in self.organizations if k.kid != new.kid) if overlap else ()
        return replace(self, organizations=(new, *kept))

    def without(self, kid: str) -> SigningKeySet:
        """The ring no longer publishing that key; should it be the signing one, the next takes over."""
        rest = tuple(k for k in self.organizations if k.kid != kid)
        if not rest:
            raise ValueError("This is the last signing key: rotate_keys() first, then withdraw the old one.")
        return replace(self, organizations=rest, withdrawn=self.withdrawn | {kid})


def first_key_set() -> SigningKeySet:
    """The ring every emulator starts with."""
    return SigningKeySet(
        organizations=(predefined_key("signing"), predefined_key("next")),
        consumers=predefined_key("consumers"),
        government=predefined_key("us-government"),
    )


@functools.cache
def predefined_key(name: str) -> SigningKey:
    """One of the keys that come with the package."""
    realms: dict[str, Realm] = {
        "consumers": "consumers",
        "us-government": "us-government",
        "forger": "nobody",
        "workloads": "nobody",
    }
    cloud = US_GOVERNMENT if name == "us-government" else PUBLIC_CLOUD
    return make_signing_key(
        _packaged_material()[name], serial=PACKAGED.index(name) + 1, realm=realms.get(name), cloud=cloud
    )


@functools.cache
def _packaged_material() -> Mapping[str, rsa.RSAPrivateKey]:
    text = files(__name__.rpartition(".")[0]).joinpath("TEST_ONLY_signing_keys.pem").read_bytes()
    end = b"-----END PRIVATE KEY-----"
    blocks = (block[block.index(b"-----BEGIN") :] + end for block in text.split(end)[:-1])
    return dict(zip(PACKAGED, map(_load, blocks), strict=True))


def _load(pem: bytes) -> rsa.RSAPrivateKey:
    # Checking a key we made ourselves takes 500 times longer than reading it.
    key = serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("TEST_ONLY_signing_keys.pem holds a key that is not RSA.")
    return key


_fresh: list[SigningKey] = []
_fresh_lock = threading.Lock()


def generated_key(number: int) -> SigningKey:
    """The so-manyth key made in this process, beginning with 0; made now if it was not yet."""
    with _fresh_lock:
        while len(_fresh) <= number:
            material = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            _fresh.append(make_signing_key(material, serial=1000 + len(_fresh)))
        return _fresh[number]


def make_signing_key(
    material: rsa.RSAPrivateKey, *, serial: int, realm: Realm | None = None, cloud: str = PUBLIC_CLOUD
) -> SigningKey:
    """The key with its self-signed certificate, and the kid that follows from it."""
    certificate = _certificate(material, serial)
    return SigningKey(
        kid=_base64url(certificate.fingerprint(hashes.SHA1())),  # noqa: S303 (Entra's kid is this SHA-1)
        realm=realm or "organizations",
        cloud=cloud,
        private_key=material,
        modulus=_modulus(material),
        certificate=base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode(),
    )


def with_kid(key: SigningKey, kid: str) -> SigningKey:
    """Other key material under a kid that is known already."""
    return replace(key, kid=kid)


def _certificate(material: rsa.RSAPrivateKey, serial: int) -> x509.Certificate:
    """A certificate with a fixed start and serial number, so that a packaged key's kid never changes."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _SUBJECT)])
    builder = x509.CertificateBuilder(name, name, material.public_key(), serial)
    # Entra's certificates live five years; these must not expire under somebody's tests.
    dated = builder.not_valid_before(_START).not_valid_after(_START.replace(year=_START.year + 30))
    return dated.sign(material, hashes.SHA256())


def _modulus(material: rsa.RSAPrivateKey) -> str:
    number = material.public_key().public_numbers().n
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
