"""Probe what the application calls: a dry run of its credential, and the token on disk. Keeps no token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.json_values import as_list
from entra_guard.cli.doctor._facts import CredentialFacts, FederatedToken, Member, Proof
from entra_guard.credentials import (
    ChainedCredential,
    CredentialUnavailableError,
    EnvironmentCredential,
    ManagedIdentityCredential,
)
from entra_guard.credentials._azure import adapted
from entra_guard.credentials._chain import members_of
from entra_guard.credentials._environment import PROOF_VARIABLES
from entra_guard.errors import ConfigurationError, EntraGuardError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from entra_guard.credentials import AccessToken
    from entra_guard.credentials._base import BaseCredential

_MOST_CLAIMS: Final = 64 * 1024


def credential_of_environment(
    environ: Mapping[str, str], *, managed_identity: bool, settings: Mapping[str, Any]
) -> BaseCredential | None:
    """Return the credential that variables describe, and this host's identity after it; None for none.

    Raises:
        ConfigurationError: The variables describe a credential that cannot work.
    """
    described = [EnvironmentCredential(environ, **settings)] if any(map(environ.get, PROOF_VARIABLES)) else []
    identity = [ManagedIdentityCredential(**settings)] if managed_identity else []
    credentials: list[BaseCredential] = [*described, *identity]
    return ChainedCredential(*credentials) if len(credentials) > 1 else next(iter(credentials), None)


def probe_credential(
    credential: Any, origin: str, scope: str, *, environ: Mapping[str, str], now: float, offline: bool
) -> CredentialFacts:
    """Request a token as the application would, and return what it is for; the token itself is not kept.

    Args:
        credential: One of ours or of azure-identity.
        origin: Where it comes from.
        scope: What to request a token for.
        environ: Names the federated token.
        now: Seconds since the epoch.
        offline: Request nothing.
    """
    federated = read_federated_token(environ)
    try:
        members = [*members_of(adapted(credential))]
    except ConfigurationError as error:
        return CredentialFacts(origin, str(error), federated=federated)
    if offline:
        rows = tuple(_member(each, "not tried") for each in members)
        return CredentialFacts(origin, members=rows, client_id=_client_id(members), federated=federated)
    token, problem, outcomes = _dry_run(members, scope)
    rows = tuple(_member(each, outcome) for each, outcome in zip(members, outcomes, strict=True))
    used = [each for each, outcome in zip(members, outcomes, strict=True) if outcome in ("in use", "failed")]
    client_id = _client_id(used or members)
    if token is None:
        hint = getattr(problem, "hint", "")
        text = str(problem).removesuffix(hint).strip().removeprefix("No token: ")
        return CredentialFacts(
            origin, text, hint, scope, members=rows, client_id=client_id, federated=federated
        )
    claims = _claims(token.token)
    return CredentialFacts(
        origin,
        scope=scope,
        audience=str(claims.get("aud") or ""),
        roles=tuple(map(str, as_list(claims.get("roles")))),
        scopes=tuple(str(claims.get("scp") or "").split()),
        expires_in=token.expires_on - now,
        members=rows,
        client_id=client_id or str(claims.get("azp") or claims.get("appid") or ""),
        federated=federated,
    )


def _dry_run(
    members: Iterable[BaseCredential], scope: str
) -> tuple[AccessToken | None, EntraGuardError | None, list[str]]:
    """Try the credentials as a chain does; return the token, the error, and each one's outcome."""
    token: AccessToken | None = None
    problem: EntraGuardError | None = None
    failed, outcomes = False, list[str]()
    for each in members:
        if token is not None or failed:
            outcomes.append("not tried")
            continue
        try:
            token = each.get_token(scope)
        except CredentialUnavailableError as error:
            problem = error
            outcomes.append("not configured")
        except (TokenAcquisitionError, ConfigurationError) as error:
            problem, failed = error, True
            outcomes.append("failed")
        except Exception as error:  # noqa: BLE001  # of a credential of the user's; its text may hold secrets
            problem, failed = (
                TokenAcquisitionError(f"{type(error).__name__} was raised.", error="other"),
                True,
            )
            outcomes.append("failed")
        else:
            outcomes.append("in use")
    return token, problem, outcomes


def _member(credential: BaseCredential, outcome: str) -> Member:
    proofs = tuple(
        Proof(str(each["name"]), each["days_left"], str(each["failed"] or ""))
        for each in credential.health()["proofs"]
    )
    return Member(repr(credential).strip("<>"), outcome, proofs)


def _client_id(members: Iterable[BaseCredential]) -> str:
    for each in members:
        inner = each.credential if isinstance(each, EnvironmentCredential) else each
        if client_id := getattr(inner, "client_id", None):
            return str(client_id)
    return ""


def _claims(token: str) -> Mapping[str, Any]:
    """Return the claims of a token that is a JWT, unverified; nothing for an opaque one."""
    import jwt  # noqa: PLC0415

    try:
        return jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, RecursionError):
        return {}


def read_federated_token(environ: Mapping[str, str]) -> FederatedToken | None:
    """Return what Entra compares of the token in AZURE_FEDERATED_TOKEN_FILE; None if it is not set."""
    path = environ.get("AZURE_FEDERATED_TOKEN_FILE")
    if not path:
        return None
    try:
        claims = _claims(Path(path).read_text("ascii").strip()[:_MOST_CLAIMS])
    except (OSError, UnicodeDecodeError) as error:
        return FederatedToken(error=f"{path} cannot be read: {getattr(error, 'strerror', 'not ASCII')}")
    if not claims:
        return FederatedToken(error=f"{path} does not hold a JWT")
    audience = claims.get("aud")
    ends = claims.get("exp")
    return FederatedToken(
        str(claims.get("iss") or ""),
        str(claims.get("sub") or ""),
        " ".join(map(str, as_list(audience))) or str(audience or ""),
        float(ends) if isinstance(ends, int | float) else None,
    )
