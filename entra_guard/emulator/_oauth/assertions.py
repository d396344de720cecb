"""Verify client assertions: JWTs signed by the client's certificate or by another issuer.

Released clients write them in ways that a strict parser refuses and Entra accepts: padded segments and
thumbprints, standard base64 in thumbprints, times as fractions or strings, no `nbf`, no `jti`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa

from entra_guard.emulator._directory.client_certificates import public_key_of
from entra_guard.emulator._http.messages import split_url
from entra_guard.emulator._oauth.errors import EntraError
from entra_guard.emulator._store.encoding import decode_base64, thumbprint
from entra_guard.emulator._store.entries import TOKEN_EXCHANGE
from entra_guard.emulator._tokens.claims import exchange_subject
from entra_guard.emulator._tokens.jws import ParsedJwt, jwt_algorithm, parse_jwt
from entra_guard.emulator._tokens.workloads import issuer_keys

if TYPE_CHECKING:
    from entra_guard.emulator._store.entries import (
        AgentIdentity,
        AppRegistration,
        FederatedCredential,
        StoredCertificate,
        Tenant,
    )
    from entra_guard.emulator._store.store import Store

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = ("RS256", "PS256")
_PROOF_AUDIENCE: Final = "00000002-0000-0000-c000-000000000000"
CLOCK_SKEW: Final = 300.0
_ALIASES: Final = frozenset({"common", "organizations"})


def parse_assertion(assertion: str) -> ParsedJwt:
    """Parse an assertion.

    Raises:
        EntraError: It is not a JWT.
    """
    try:
        return parse_jwt(assertion)
    except ValueError:
        raise EntraError(50027) from None


def check_assertion(store: Store, tenant: Tenant, app: AppRegistration, parsed: ParsedJwt) -> None:
    """Verify that an assertion authenticates this app.

    Raises:
        EntraError: It does not.
    """
    if parsed.algorithm not in ALGORITHMS:
        raise EntraError(5002738, algorithm=parsed.algorithm)
    if app.client_id in store.directory.agents:
        check_exchange_token(store, tenant, store.directory.agents[app.client_id], parsed)
    elif parsed.text("iss") == app.client_id:
        _check_certificate_assertion(store, tenant, app, parsed)
    else:
        _check_federated_assertion(store, app, parsed)
    _check_lifetime(store, parsed)


def _check_certificate_assertion(
    store: Store, tenant: Tenant, app: AppRegistration, parsed: ParsedJwt
) -> None:
    if parsed.text("sub") != app.client_id:
        raise EntraError(700021)
    certificate = _find_certificate(store, app, parsed)
    _check_signature(parsed, public_key_of(certificate.der))
    if not certificate.starts <= store.now() < certificate.expires:
        start, end = _format_time(certificate.starts), _format_time(certificate.expires)
        period = f"Found key 'Start={start}, End={end}'"
        raise EntraError(700027, detail=_signature_detail("The key used is expired.", parsed, period))
    if not any(_is_our_audience(store, tenant, audience) for audience in parsed.audiences()):
        raise EntraError(700023)


def _find_certificate(store: Store, app: AppRegistration, parsed: ParsedJwt) -> StoredCertificate:
    """Return the registered certificate with the thumbprint in the header."""
    wanted = {name: _thumbprint(parsed.header.get(name)) for name in ("x5t#S256", "x5t")}
    for certificate in store.directory.credentials_of(app.client_id).certificates:
        if wanted["x5t#S256"] == hashlib.sha256(certificate.der).digest():
            return certificate
        if wanted["x5t"] == thumbprint(certificate.der):
            return certificate
    raise EntraError(700027, detail=_signature_detail("The key was not found.", parsed))


def check_proof(store: Store, app: AppRegistration, proof: str) -> bool:
    """Verify a proof of possession for Graph's `addKey`: signed by one of the app's certificates.

    Its audience is the retired Azure AD Graph, its issuer the app's object id.
    """
    try:
        parsed = parse_assertion(proof)
        _check_lifetime(store, parsed)
    except EntraError:
        return False
    if parsed.text("iss") != app.object_id or _PROOF_AUDIENCE not in parsed.audiences():
        return False
    certificates = store.directory.credentials_of(app.client_id).certificates
    keys = (public_key_of(c.der) for c in certificates)
    return parsed.algorithm in ALGORITHMS and any(
        isinstance(key, rsa.RSAPublicKey) and _is_signed_by(parsed, key) for key in keys
    )


def _thumbprint(value: Any) -> bytes | None:
    try:
        return decode_base64(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _signature_detail(reason: str, parsed: ParsedJwt, *more: str) -> str:
    used = _thumbprint(parsed.header.get("x5t")) or _thumbprint(parsed.header.get("x5t#S256"))
    named = [f"Thumbprint of key used by client: '{used.hex().upper()}'"] if used else []
    facts = ", ".join([f"Reason - {reason}", *named, *more])
    return f"Client assertion contains an invalid signature. [{facts}]"


def _check_signature(parsed: ParsedJwt, key: Any) -> None:
    if not isinstance(key, rsa.RSAPublicKey) or not _is_signed_by(parsed, key):
        reason = "The provided signature value did not match the expected signature value."
        raise EntraError(700027, detail=_signature_detail(reason, parsed))


def _is_signed_by(parsed: ParsedJwt, key: rsa.RSAPublicKey) -> bool:
    try:
        return jwt_algorithm(parsed.algorithm).verify(parsed.signing_input, key, parsed.signature)
    except InvalidSignature:
        return False


def _is_our_audience(store: Store, tenant: Tenant, audience: str) -> bool:
    """Return whether the audience is this tenant's token endpoint or issuer."""
    parts = split_url(audience)
    segment, _, rest = parts.path.lstrip("/").partition("/")
    named = store.directory.tenant(segment)
    ours = segment in _ALIASES or (named is not None and named.id == tenant.id)
    return ours and store.is_own(parts.netloc) and rest in {"oauth2/v2.0/token", "oauth2/token", "v2.0", ""}


def _check_federated_assertion(store: Store, app: AppRegistration, parsed: ParsedJwt) -> None:
    credential = _find_federated_credential(store, app, parsed)
    keys = issuer_keys(store, credential)
    kid = str(parsed.header.get("kid"))
    if kid not in keys:
        raise EntraError(700027, detail=_signature_detail("The key was not found.", parsed))
    _check_signature(parsed, keys[kid])


def check_exchange_token(store: Store, tenant: Tenant, agent: AgentIdentity, parsed: ParsedJwt) -> None:
    """Verify that a token is the one that the agent's blueprint got for it, with `fmi_path`.

    Raises:
        EntraError: It is not.
    """
    issuer = split_url(parsed.text("iss"))
    if not store.is_own(issuer.netloc) or issuer.path != f"/{tenant.id}/v2.0":
        raise EntraError(700211, value=parsed.text("iss"))
    if TOKEN_EXCHANGE not in parsed.audiences():
        raise EntraError(700212, value=" ".join(parsed.audiences()))
    if parsed.text("sub") != exchange_subject(tenant.id, agent.blueprint_id, agent.id):
        raise EntraError(700213, value=parsed.text("sub"))
    keys = {key.kid: key.private_key.public_key() for key in store.state.keys.published()}
    kid = str(parsed.header.get("kid"))
    if kid not in keys:
        raise EntraError(700027, detail=_signature_detail("The key was not found.", parsed))
    _check_signature(parsed, keys[kid])


def _find_federated_credential(store: Store, app: AppRegistration, parsed: ParsedJwt) -> FederatedCredential:
    """Return the app's credential for that issuer, subject and audience, all compared exactly."""
    credentials = store.directory.credentials_of(app.client_id).federated
    if not credentials:
        raise EntraError(700021)
    audiences = _all_audience_names(store, app, parsed)
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


def _all_audience_names(store: Store, app: AppRegistration, parsed: ParsedJwt) -> frozenset[str]:
    """Return the assertion's audiences; for a registered API (AAD Token Exchange), all its names."""
    apis = (store.directory.resource(name, app.tenant_id) for name in parsed.audiences())
    return frozenset(parsed.audiences()).union(*(api.names() for api in apis if api))


def _check_lifetime(store: Store, parsed: ParsedJwt) -> None:
    now = store.now()
    starts, ends = _time_claim(parsed, "nbf", 0.0), _time_claim(parsed, "exp", None)
    if not starts - CLOCK_SKEW <= now < ends + CLOCK_SKEW:
        start, end = (_format_time(time) if time else "(none)" for time in (starts, ends))
        raise EntraError(700024, now=_format_time(now), start=start, end=end)


def _time_claim(parsed: ParsedJwt, claim: str, default: float | None) -> float:
    """Return a time claim, which may be a number, a fraction or a string."""
    value: Any = parsed.claims.get(claim, default)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise EntraError(50027) from None


def _format_time(seconds: float) -> str:
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%m/%d/%Y %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "(not a time)"
