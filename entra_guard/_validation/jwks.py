"""A JWKS document made into an immutable key set, or refused whole. Fetches nothing.

Odd keys among good ones are skipped one by one; a document is refused when accepting it would be
worse than keeping the old keys: no usable key, private or symmetric material, one kid for two keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from entra_guard._validation.issuer import fill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._validation.issuer import Issuer

_MIN_RSA_BITS: Final = 2048
_MAX_KEYS: Final = 100
_MAX_KID: Final = 128
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class KeysRefusedError(ValueError):
    """A key set that must not replace the one at hand; the message says why."""


class KeyOrigin(NamedTuple):
    """The issuer template and the cloud that a key signs for, where its entry names them.

    Microsoft: "Access tokens: validate the signing key issuer".
    """

    issuer: str = ""
    cloud: str = ""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One public key, its kid and its origin."""

    kid: str
    origin: KeyOrigin
    alg: str
    """The one algorithm that the key is published for, or ''."""
    signature_bytes: int
    public_key: RSAPublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of a JWKS document by kid, and what was skipped, as 'kid: why' lines."""

    by_kid: Mapping[str, SigningKey] = field(default_factory=lambda: MappingProxyType({}))
    skipped: tuple[str, ...] = ()


def read_keys(document: Mapping[str, Any], issuer: Issuer, *, known: KeySet | None = None) -> KeySet:
    """Read a JWKS document (RFC 7517).

    Args:
        document: The parsed JSON.
        issuer: Whose keys are wanted. Entra publishes keys of other clouds and of personal accounts
            beside them, and those are kept; but one at least must sign for this issuer.
        known: The keys at hand; a key that did not change stays the same object.

    Raises:
        KeysRefusedError: The document must not replace the keys at hand.
    """
    try:
        entries = msgspec.convert(document.get("keys"), list[dict[str, Any]])
    except msgspec.ValidationError:
        raise KeysRefusedError("it has no list of keys") from None
    if len(entries) > _MAX_KEYS:
        raise KeysRefusedError(f"it has {len(entries)} keys, more than {_MAX_KEYS}")
    keys: dict[str, SigningKey] = {}
    skipped: list[str] = []
    for entry in entries:
        _add_key(entry, keys, skipped)
    if not any(_signs_for(issuer, key.origin) for key in keys.values()):
        raise KeysRefusedError(f"it has no usable RSA signing key of the issuer among {len(entries)}")
    return KeySet(MappingProxyType(_unchanged_kept(keys, known)), tuple(skipped))


def _signs_for(issuer: Issuer, origin: KeyOrigin) -> bool:
    own_cloud = not origin.cloud or not issuer.cloud or origin.cloud == issuer.cloud
    return own_cloud and (
        not origin.issuer or issuer.v2 in (origin.issuer, fill(origin.issuer, issuer.tenant_id))
    )


def _add_key(entry: Mapping[str, Any], keys: dict[str, SigningKey], skipped: list[str]) -> None:
    if not _PRIVATE_MEMBERS.isdisjoint(entry):
        raise KeysRefusedError("it publishes private or symmetric key material")
    key = _read_key(entry)
    if isinstance(key, str):
        kid = entry.get("kid")
        skipped.append(f"{kid[:_MAX_KID] if isinstance(kid, str) else 'no kid'}: {key}")
    elif not _same(keys.setdefault(key.kid, key), key):
        raise KeysRefusedError(f"it has two keys under the kid {key.kid!r}")


def _read_key(entry: Mapping[str, Any]) -> SigningKey | str:
    """Read one key, or say why it is of no use."""
    if why := _unusable(entry):
        return why
    # Imported here: PyJWT takes half of this package's import time, and is not needed before there are keys.
    from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415
    from jwt.exceptions import PyJWTError  # noqa: PLC0415

    try:
        public_key = RSAAlgorithm.from_jwk(dict(entry))
    except (PyJWTError, ValueError, TypeError) as error:
        return f"unreadable ({type(error).__name__})"
    if not isinstance(public_key, RSAPublicKey) or public_key.key_size < _MIN_RSA_BITS:
        return f"not RSA of {_MIN_RSA_BITS} bits or more"
    origin = KeyOrigin(_text(entry, "issuer"), _text(entry, "cloud_instance_name"))
    return SigningKey(entry["kid"], origin, entry.get("alg", ""), (public_key.key_size + 7) // 8, public_key)


def _unusable(entry: Mapping[str, Any]) -> str:
    kid, operations = entry.get("kid"), entry.get("key_ops", ["verify"])
    if entry.get("kty") != "RSA":
        return "not RSA"
    if not isinstance(kid, str) or not 0 < len(kid) <= _MAX_KID:
        return "no usable kid"
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return "not for signatures"
    return "" if entry.get("alg", "RS256") in ("RS256", "PS256") else "not for RS256 or PS256"


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _unchanged_kept(keys: dict[str, SigningKey], known: KeySet | None) -> dict[str, SigningKey]:
    """Keep known key objects: what was verified with them stays verified, as `is` can tell."""
    old: Mapping[str, SigningKey] = known.by_kid if known else {}
    return {kid: old[kid] if kid in old and _same(old[kid], key) else key for kid, key in keys.items()}


def _same(one: SigningKey, other: SigningKey) -> bool:
    same_numbers = one.public_key.public_numbers() == other.public_key.public_numbers()
    return same_numbers and (one.kid, one.origin, one.alg) == (other.kid, other.origin, other.alg)
