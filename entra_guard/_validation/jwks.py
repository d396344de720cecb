"""Parse a JWKS document into an immutable key set. Fetches nothing.

RFC 7517 section 5 says to ignore entries that are not understood or not supported. So each entry that
cannot be used is skipped and reported, and the others are kept. A document is refused as a whole only if
nothing usable for the issuer is left: then the cached keys are the better choice.
"""

from __future__ import annotations

from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from entra_guard._common.encoding import from_base64url
from entra_guard._escaping import printable
from entra_guard._validation.issuer import fill
from entra_guard.policy import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._validation.issuer import Issuer

_MIN_RSA_BITS: Final = 2048
# Parsing an RSA key takes about 50 µs. Entra publishes fewer than 20 keys.
_MAX_KEYS: Final = 100
_MAX_KID: Final = 128
_MAX_REPORTED: Final = 20
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class KeysRefusedError(ValueError):
    """A key set that must not replace the cached one; the message says why."""


@dataclass(frozen=True, slots=True)
class KeyOrigin:
    """The issuer template and the cloud that a key signs for, where its entry names them.

    Microsoft: "Access tokens: validate the signing key issuer".
    """

    issuer: str = ""
    cloud: str = ""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One public key, its kid and its origin.

    Attributes:
        kid: The key id, or '' for a key without one.
        origin: The issuer and the cloud that the key signs for.
        alg: The one algorithm that the key is published for, or '' for RS256 and PS256.
        signature_bytes: The length of its signatures.
        public_key: The key itself.
    """

    kid: str
    origin: KeyOrigin
    alg: str
    signature_bytes: int
    public_key: RSAPublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of a JWKS document, and what is wrong with the rest.

    Attributes:
        by_kid: The usable keys. A key without a kid, which RFC 7517 section 4.5 allows and Entra never
            publishes, has a name made of its numbers here, and an empty `SigningKey.kid`.
        unusable: The kids that the document lists, but without a usable key, and why.
        skipped: 'kid: why' lines for entries that serve another purpose, such as encryption.
        faults: 'kid: why' lines for entries that should not be in a key set at all.
    """

    by_kid: Mapping[str, SigningKey] = field(default_factory=lambda: MappingProxyType({}))
    unusable: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    skipped: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def read_keys(document: Mapping[str, Any], issuer: Issuer, *, known: KeySet | None = None) -> KeySet:
    """Parse a JWKS document (RFC 7517).

    Args:
        document: The parsed JSON.
        issuer: The issuer whose keys are needed. Entra publishes keys of other clouds and of personal
            accounts in the same set. Those are kept, but at least one key must sign for this issuer.
        known: The cached keys; a key that did not change stays the same object.

    Raises:
        KeysRefusedError: The document must not replace the cached keys.
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise KeysRefusedError("it has no list of keys")
    entries = cast("list[object]", entries)
    collected = _Collected(issuer)
    for entry in entries:
        _collect(entry, collected)
    _drop_published(collected)
    if not any(_signs_for(issuer, key.origin) for key in collected.by_kid.values()):
        faults = "".join(f"; {line}" for line in collected.faults[:3])
        raise KeysRefusedError(f"it has no usable RSA signing key of the issuer among {len(entries)}{faults}")
    kept = {name: _unchanged(name, key, known) for name, key in collected.by_kid.items()}
    return KeySet(
        MappingProxyType(kept),
        MappingProxyType({kid: why for kid, why in collected.reasons.items() if kid and kid not in kept}),
        _bounded(collected.skipped),
        _bounded(collected.faults),
    )


class _Collected:
    """What was read from a document so far."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.parsed = 0
        # The moduli of RSA keys whose private half is in the document.
        self.published: set[int] = set()
        self.by_kid: dict[str, SigningKey] = {}
        # Kids that have no key whatever else the document says of them: which key is meant is not clear.
        self.dropped: set[str] = set()
        # The last reason for skipping an entry, by kid; '' for entries without a usable kid.
        self.reasons: dict[str, str] = {}
        self.skipped: list[str] = []
        self.faults: list[str] = []

    def skip(self, kid: str, why: str, *, fault: bool) -> None:
        """Report an entry that is not used."""
        self.reasons[kid] = why
        (self.faults if fault else self.skipped).append(f"{printable(kid) if kid else 'no kid'}: {why}")

    def drop(self, kid: str, why: str) -> None:
        """Use no key of this kid, and report why."""
        if kid:
            self.by_kid.pop(kid, None)
            self.dropped.add(kid)
        self.skip(kid, why, fault=True)


def _collect(entry: object, collected: _Collected) -> None:
    """Add one entry's key, or report why it is not used."""
    if not isinstance(entry, dict):
        collected.skip("", f"an entry is not a JSON object but {type(entry).__name__}", fault=True)
        return
    members = {name: value for name, value in cast("dict[str, object]", entry).items() if value is not None}
    kid = _kid(members)
    if not _PRIVATE_MEMBERS.isdisjoint(members):
        _collect_private(members, kid, collected)
    elif why := _other_purpose(members):
        collected.skip(kid, why, fault=False)
    elif "kid" in members and not kid:
        collected.skip("", f"its kid is not a string of 1 to {_MAX_KID} characters", fault=True)
    elif isinstance(key := _parse(members, kid, collected), str):
        collected.skip(kid, key, fault=True)
    elif kid or collected.issuer.kid_is_optional:
        _collect_key(kid or _name_without_kid(key), key, collected)
    else:
        collected.skip("", "it has no kid, and Microsoft always publishes one", fault=True)


def _collect_private(members: Mapping[str, object], kid: str, collected: _Collected) -> None:
    """Report published secret material."""
    why = "the entry publishes private or symmetric key material"
    if members.get("kty") != "RSA":
        collected.skip(kid, why, fault=True)
        return
    with suppress(ValueError):  # n is not base64
        collected.published.add(int.from_bytes(from_base64url(str(members.get("n")))))
    collected.drop(kid, why)


def _drop_published(collected: _Collected) -> None:
    """Use no key whose private half is published, also not under another kid: everybody can sign with it."""
    for name, key in tuple(collected.by_kid.items()):
        if key.public_key.public_numbers().n in collected.published:
            collected.drop(name, "its private half is published in the same key set")


def _collect_key(name: str, key: SigningKey, collected: _Collected) -> None:
    """Add a key. The same key listed once per algorithm is one key."""
    known = collected.by_kid.get(name)
    if name in collected.dropped:
        return
    if known is None:
        collected.by_kid[name] = key
    elif not _same_material(known, key):
        collected.drop(name, "two different keys have this kid")
    elif known.origin != key.origin:
        collected.drop(name, "two entries with this kid name different issuers or clouds")
    elif known.alg != key.alg:
        collected.by_kid[name] = replace(known, alg="")


def _name_without_kid(key: SigningKey) -> str:
    """Name a key that has no kid by its numbers."""
    numbers = key.public_key.public_numbers()
    return f"(no kid) {sha256(f'{numbers.e} {numbers.n}'.encode()).hexdigest()[:16]}"


def _kid(members: Mapping[str, object]) -> str:
    kid = members.get("kid")
    return kid if isinstance(kid, str) and len(kid) <= _MAX_KID else ""


def _other_purpose(members: Mapping[str, object]) -> str:
    """Return why an entry is not meant for RSA signatures, or ''."""
    if members.get("kty") != "RSA":
        return "not RSA"
    operations = members.get("key_ops", ["verify"])
    if members.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return "not for signatures"
    alg = members.get("alg", "RS256")
    return "" if isinstance(alg, str) and alg in ALGORITHMS else "not for RS256 or PS256"


def _parse(members: Mapping[str, object], kid: str, collected: _Collected) -> SigningKey | str:
    """Parse one RSA signing key, or return why it cannot be used."""
    origin = _origin(members)
    if origin is None:
        return "its issuer or cloud_instance_name is not a string"
    collected.parsed += 1
    if collected.parsed > _MAX_KEYS:
        raise KeysRefusedError(f"it has more than {_MAX_KEYS} RSA signing keys")
    # PyJWT takes half of this package's import time and is not needed before there are keys.
    from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415

    try:
        public_key = RSAAlgorithm.from_jwk(dict(members))
    except Exception as error:  # noqa: BLE001  # parsers differ in what they raise for a member of another type
        return f"unreadable ({type(error).__name__})"
    if not isinstance(public_key, RSAPublicKey) or public_key.key_size < _MIN_RSA_BITS:
        return f"not RSA of {_MIN_RSA_BITS} bits or more"
    if _contradicts_certificate(public_key, members.get("x5c")):
        return "its certificate (x5c) is of another key (RFC 7517 section 4.7)"
    alg = str(members.get("alg", ""))
    return SigningKey(kid, origin, alg, (public_key.key_size + 7) // 8, public_key)


def _origin(members: Mapping[str, object]) -> KeyOrigin | None:
    """Return the origin that an entry names, or None for one that cannot be understood."""
    issuer, cloud = members.get("issuer", ""), members.get("cloud_instance_name", "")
    if not isinstance(issuer, str) or not isinstance(cloud, str):
        return None
    return KeyOrigin(issuer.strip(), cloud.strip())


def _contradicts_certificate(public_key: RSAPublicKey, chain: object) -> bool:
    """Return whether the first certificate of an x5c member can be read and is of another key."""
    first = cast("list[object]", chain)[0] if isinstance(chain, list) and chain else None
    if not isinstance(first, str):
        return False
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415  # as above

    try:
        certified = load_der_x509_certificate(b64decode(first)).public_key()
    except Exception:  # noqa: BLE001  # parsers differ in what they raise, and warnings may be errors
        return False
    return (
        not isinstance(certified, RSAPublicKey) or certified.public_numbers() != public_key.public_numbers()
    )


def _signs_for(issuer: Issuer, origin: KeyOrigin) -> bool:
    own_cloud = not origin.cloud or not issuer.cloud or origin.cloud == issuer.cloud
    return own_cloud and (
        not origin.issuer or issuer.v2 in (origin.issuer, fill(origin.issuer, issuer.tenant_id))
    )


def _bounded(lines: list[str]) -> tuple[str, ...]:
    """Return the first lines, and how many there are more: a document may have 100,000 entries."""
    if len(lines) <= _MAX_REPORTED:
        return tuple(lines)
    return (*lines[:_MAX_REPORTED], f"and {len(lines) - _MAX_REPORTED} more entries")


def _unchanged(name: str, key: SigningKey, known: KeySet | None) -> SigningKey:
    """Return the cached object of an equal key: what it verified stays verified, as `is` can tell."""
    cached = known.by_kid.get(name) if known else None
    return cached if cached is not None and _same(cached, key) else key


def _same(one: SigningKey, other: SigningKey) -> bool:
    is_same_use = (one.kid, one.origin, one.alg) == (other.kid, other.origin, other.alg)
    return is_same_use and _same_material(one, other)


def _same_material(one: SigningKey, other: SigningKey) -> bool:
    return one.public_key.public_numbers() == other.public_key.public_numbers()
