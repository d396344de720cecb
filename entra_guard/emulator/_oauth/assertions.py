"""Client assertions: JWTs by which a client proves itself, signed by its certificate or by another issuer.

Released clients write them in ways a strict reader refuses, and Entra takes: padded segments and thumbprints,
standard base64 in thumbprints, times as fractions or strings, no `nbf`, no `jti`. So this reader takes them.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from entra_guard.emulator._http.messages import is_loopback, split_url
from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._tokens.workloads import issuer_keys

if TYPE_CHECKING:
    from entra_guard.emulator._store.directory import (
        AppRegistration,
        FederatedCredential,
        StoredCertificate,
        Tenant,
    )
    from entra_guard.emulator._store.store import Store

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = ("RS256", "PS256")
_PROOF_AUDIENCE: Final = "00000002-0000-0000-c000-000000000000"
SKEW: Final = 300.0
"""Seconds by which clocks may differ."""
_ALIASES: Final = frozenset({"common", "organizations"})


@dataclass(frozen=True, slots=True)
class ParsedJwt:
    """An assertion taken apart, unverified."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes

    @property
    def algorithm(self) -> str:
        return str(self.header.get("alg"))

    def text(self, claim: str) -> str:
        return str(self.claims.get(claim, ""))

    def audiences(self) -> tuple[str, ...]:
        """`aud`, one or several."""
        audience = self.claims.get("aud")
        return tuple(str(a) for a in audience) if isinstance(audience, list) else (str(audience),)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def read_assertion(assertion: str) -> ParsedJwt:
    """Take an assertion apart.

    Raises:
        EntraError: It is no JWT.
    """
    try:
        header, claims, signature = assertion.split(".")
        parsed = ParsedJwt(
            json.loads(decode_base64(header)),
            json.loads(decode_base64(claims)),
            f"{header}.{claims}".encode("ascii"),
            decode_base64(signature),
        )
    except (ValueError, RecursionError):
        raise EntraError(50027) from None
    if not (isinstance(parsed.header, dict) and isinstance(parsed.claims, dict)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise EntraError(50027)
    return parsed


def decode_base64(text: str) -> bytes:
    """Base64 in either alphabet, padded or not.

    Raises:
        ValueError: It is neither.
    """
    plain = text.rstrip("=").translate(str.maketrans("+/", "-_"))
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except binascii.Error as problem:
        raise ValueError(str(problem)) from None


def check_assertion(store: Store, tenant: Tenant, app: AppRegistration, parsed: ParsedJwt) -> None:
    """Decide whether an assertion proves that this app is asking.

    Raises:
        EntraError: It does not.
    """
    if parsed.algorithm not in ALGORITHMS:
        raise EntraError(5002738, algorithm=parsed.algorithm)
    if parsed.text("iss") == app.client_id:
        _check_own(store, tenant, app, parsed)
    else:
        _check_federated(store, app, parsed)
    _check_times(store, parsed)


def _check_own(store: Store, tenant: Tenant, app: AppRegistration, parsed: ParsedJwt) -> None:
    if parsed.text("sub") != app.client_id:
        raise EntraError(700021)
    certificate = _certificate_of(store, app, parsed)
    _check_signature(parsed, x509.load_der_x509_certificate(certificate.der).public_key())
    if not certificate.starts <= store.now() < certificate.expires:
        period = f"Found key 'Start={_moment(certificate.starts)}, End={_moment(certificate.expires)}'"
        raise EntraError(700027, detail=_invalid("The key used is expired.", parsed, period))
    if not any(_names_us(store, tenant, audience) for audience in parsed.audiences()):
        raise EntraError(700023)


def _certificate_of(store: Store, app: AppRegistration, parsed: ParsedJwt) -> StoredCertificate:
    """The registered certificate whose thumbprint the header gives."""
    wanted = {name: _thumbprint(parsed.header.get(name)) for name in ("x5t#S256", "x5t")}
    for certificate in store.directory.credentials_of(app.client_id).certificates:
        known = x509.load_der_x509_certificate(certificate.der)
        sha1 = known.fingerprint(hashes.SHA1())  # noqa: S303 (the name x5t has for it)
        if wanted["x5t#S256"] == known.fingerprint(hashes.SHA256()) or wanted["x5t"] == sha1:
            return certificate
    raise EntraError(700027, detail=_invalid("The key was not found.", parsed))


def check_proof(store: Store, app: AppRegistration, proof: str) -> bool:
    """Whether a proof for Graph's `addKey` is signed by a certificate the app has, and about the app.

    Its audience is Azure AD Graph, retired long ago, and its issuer the app's object id.
    """
    try:
        parsed = read_assertion(proof)
        _check_times(store, parsed)
    except EntraError:
        return False
    right = parsed.text("iss") == app.object_id and _PROOF_AUDIENCE in parsed.audiences()
    certificates = store.directory.credentials_of(app.client_id).certificates
    keys = (x509.load_der_x509_certificate(c.der).public_key() for c in certificates)
    known = parsed.algorithm in ALGORITHMS
    return right and known and any(isinstance(k, rsa.RSAPublicKey) and _signed_by(parsed, k) for k in keys)


def _thumbprint(given: Any) -> bytes | None:
    try:
        return decode_base64(given) if isinstance(given, str) else None
    except ValueError:
        return None


def _invalid(reason: str, parsed: ParsedJwt, *more: str) -> str:
    used = _thumbprint(parsed.header.get("x5t")) or _thumbprint(parsed.header.get("x5t#S256"))
    thumbprint = [f"Thumbprint of key used by client: '{used.hex().upper()}'"] if used else []
    facts = ", ".join([f"Reason - {reason}", *thumbprint, *more])
    return f"Client assertion contains an invalid signature. [{facts}]"


def _check_signature(parsed: ParsedJwt, key: Any) -> None:
    if not isinstance(key, rsa.RSAPublicKey) or not _signed_by(parsed, key):
        reason = "The provided signature value did not match the expected signature value."
        raise EntraError(700027, detail=_invalid(reason, parsed))


def _signed_by(parsed: ParsedJwt, key: rsa.RSAPublicKey) -> bool:
    try:
        verifier = jwt.get_algorithm_by_name(parsed.algorithm)
        return verifier.verify(parsed.signing_input, key, parsed.signature)
    except InvalidSignature:
        return False


def _names_us(store: Store, tenant: Tenant, audience: str) -> bool:
    """Whether the assertion is for this tenant's token endpoint, or for its issuer."""
    parts = split_url(audience)
    segment, _, rest = parts.path.lstrip("/").partition("/")
    named = store.directory.tenant(segment)
    ours = segment in _ALIASES or (named is not None and named.id == tenant.id)
    return ours and is_loopback(parts.netloc) and rest in {"oauth2/v2.0/token", "oauth2/token", "v2.0", ""}


def _check_federated(store: Store, app: AppRegistration, parsed: ParsedJwt) -> None:
    credential = _federated_credential(store, app, parsed)
    keys = issuer_keys(store, credential)
    kid = str(parsed.header.get("kid"))
    if kid not in keys:
        raise EntraError(700027, detail=_invalid("The key was not found.", parsed))
    _check_signature(parsed, keys[kid])


def _federated_credential(store: Store, app: AppRegistration, parsed: ParsedJwt) -> FederatedCredential:
    """The app's credential for that issuer, subject and audience, each to the letter."""
    credentials = store.directory.credentials_of(app.client_id).federated
    if not credentials:
        raise EntraError(700021)
    audiences = _all_names(store, app, parsed)
    issuer, subject = parsed.text("iss"), parsed.text("sub")
    of_issuer = [c for c in credentials if c.issuer == issuer]
    of_subject = [c for c in of_issuer if c.subject == subject]
    if not of_issuer:
        raise EntraError(700211, value=issuer)
    if not of_subject:
        raise EntraError(700213, value=subject)
    if of_subject[0].audience not in audiences:
        raise EntraError(700212, value=" ".join(parsed.audiences()))
    return of_subject[0]


def _all_names(store: Store, app: AppRegistration, parsed: ParsedJwt) -> frozenset[str]:
    """The assertion's audiences; of a registered API (AAD Token Exchange) by all its names."""
    apis = (store.directory.resource(name, app.tenant_id) for name in parsed.audiences())
    return frozenset(parsed.audiences()).union(*(api.names() for api in apis if api))


def _check_times(store: Store, parsed: ParsedJwt) -> None:
    now, starts, ends = store.now(), _time(parsed, "nbf", 0.0), _time(parsed, "exp", None)
    if not starts - SKEW <= now < ends + SKEW:
        start, end = (_moment(t) if t else "(none)" for t in (starts, ends))
        raise EntraError(700024, now=_moment(now), start=start, end=end)


def _time(parsed: ParsedJwt, claim: str, otherwise: float | None) -> float:
    """A time claim: a number, a fraction, or either as a string."""
    given: Any = parsed.claims.get(claim, otherwise)
    try:
        return float(given)
    except (TypeError, ValueError):
        raise EntraError(50027) from None


def _moment(seconds: float) -> str:
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%m/%d/%Y %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "(no time)"
