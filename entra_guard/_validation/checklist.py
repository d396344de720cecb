"""The CHECKLIST that a token's claims are held against, line by line. Pure decisions.

Each line decides by a small function (policy, issuer, claims, key, now) -> reason code, or '' if it
holds. `Guard`, `explain`, the tests and the README walk the same tuple. Sources: Microsoft "Access
tokens: validate tokens", and Microsoft.IdentityModel's validators for issuer, key and cloud.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from entra_guard._common.guid import is_guid, is_tenant_id
from entra_guard._validation.issuer import Issuer, fill
from entra_guard.policy import GRAPH_AUDIENCES, PERSONAL_TENANT, TOKEN_VERSIONS

if TYPE_CHECKING:
    from entra_guard._validation.claims import Claims
    from entra_guard._validation.jwks import KeyOrigin
    from entra_guard.policy import Policy


CheckFunction = Callable[["Policy", Issuer, "Claims", "KeyOrigin", float], str]
Case = tuple["Policy", Issuer, "Claims", "KeyOrigin", float]
Describe = Callable[["Policy", Issuer, "Claims", "KeyOrigin", float], object]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist: its question, its decision, and the words of both sides for a reader."""

    name: str
    decide: CheckFunction
    expected: Describe
    found: Describe


def _version(policy: Policy, issuer: Issuer, claims: Claims, _key: KeyOrigin, _now: float) -> str:
    version = claims.ver
    if not issuer.is_entra or (version in policy.token_versions and (version != "1.0" or issuer.v1)):
        return ""
    return "wrong_version" if version in TOKEN_VERSIONS else "invalid_claims"


def _lifetime(policy: Policy, _issuer: Issuer, claims: Claims, _key: KeyOrigin, now: float) -> str:
    exp, nbf, iat, leeway = claims.exp, claims.nbf, claims.iat, policy.leeway
    if exp is None or (nbf is not None and nbf >= exp):
        return "invalid_claims"
    if exp <= now - leeway:
        return "expired"
    latest = now + leeway
    if nbf is not None and nbf > latest:
        return "not_yet_valid"
    return "issued_in_future" if iat is not None and iat > latest else ""


def _issuer(policy: Policy, issuer: Issuer, claims: Claims, _key: KeyOrigin, _now: float) -> str:
    tid, own = claims.tid, issuer.tenant_id
    if not issuer.is_entra:
        return "" if claims.iss == issuer.v2 else "wrong_issuer"
    if tid == own if own else is_tenant_id(tid):
        if claims.iss == issuer.of_token(claims.ver, tid):
            strange = tid == PERSONAL_TENANT and policy.tenants.alias == "organizations"
            return "personal_account" if strange else ""
    elif not is_tenant_id(tid):
        return "invalid_claims"
    return _why_other_issuer(policy, issuer, claims)


def _why_other_issuer(policy: Policy, issuer: Issuer, claims: Claims) -> str:
    """Say which part of a foreign issuer is foreign."""
    if claims.tid == PERSONAL_TENANT and policy.tenants.alias not in {"common", "consumers"}:
        return "personal_account"
    if claims.tid != issuer.tenant_id and issuer.tenant_id:
        theirs = claims.iss.replace(claims.tid, issuer.tenant_id)
        return "wrong_tenant" if theirs == issuer.of_token(claims.ver, issuer.tenant_id) else "wrong_issuer"
    return "wrong_cloud" if _host(claims.iss) in _FOREIGN_CLOUD_HOSTS - {_host(issuer.v2)} else "wrong_issuer"


_FOREIGN_CLOUD_HOSTS: Final = frozenset(
    {"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"}
    | {"login.sovcloud-identity.fr", "login.sovcloud-identity.de", "login.sovcloud-identity.sg"}
)


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _audience(policy: Policy, issuer: Issuer, claims: Claims, _key: KeyOrigin, _now: float) -> str:
    aud = claims.aud
    if isinstance(aud, str):
        if aud in policy.accepted:
            return ""
        return "token_for_graph" if aud in GRAPH_AUDIENCES else "wrong_audience"
    # Entra writes one audience. Other OpenID issuers may write several (RFC 7519 section 4.1.3).
    return "wrong_audience" if issuer.is_entra or policy.accepted.isdisjoint(aud) else ""


def _key_origin(_policy: Policy, issuer: Issuer, claims: Claims, key: KeyOrigin, _now: float) -> str:
    if key.issuer not in ("", issuer.v2):
        theirs = fill(key.issuer, claims.tid)
        if theirs not in (claims.iss, fill(issuer.v2, claims.tid)):
            return "key_of_other_issuer"
    return "key_of_other_cloud" if key.cloud != issuer.cloud and key.cloud and issuer.cloud else ""


def _tenant(policy: Policy, _issuer: Issuer, claims: Claims, _key: KeyOrigin, _now: float) -> str:
    allowed = policy.tenants.ids
    return "wrong_tenant" if allowed and claims.tid not in allowed else ""


def _kind(_policy: Policy, issuer: Issuer, claims: Claims, _key: KeyOrigin, _now: float) -> str:
    if claims.cnf is not None:
        return "proof_of_possession_required"
    if not issuer.is_entra:
        return "id_token" if claims.is_id_token else ""
    app_id = claims.app_id
    if not is_guid(app_id):
        return "invalid_claims" if app_id or claims.scp else "id_token"
    if claims.oid or not claims.is_app:
        return "invalid_claims" if claims.idtyp == "app" and claims.scopes else ""
    return "invalid_claims"


def _permission(policy: Policy, _issuer: Issuer, claims: Claims, _key: KeyOrigin, _now: float) -> str:
    allowed = policy.allowed_clients
    if allowed is None:
        return "" if claims.roles or claims.scopes else "no_permissions"
    return "" if claims.app_id.lower() in allowed else "client_not_allowed"


PRE_SIGNATURE_CHECKS: Final[tuple[Check, ...]] = (
    Check(
        "lifetime",
        _lifetime,
        lambda policy, _i, _c, _k, now: f"nbf <= {now:.0f} < exp, {policy.leeway:g} s leeway",
        lambda _p, _i, claims, _k, _now: {"iat": claims.iat, "nbf": claims.nbf, "exp": claims.exp},
    ),
    Check(
        "version",
        _version,
        lambda policy, issuer, _c, _k, _now: sorted(policy.token_versions) if issuer.is_entra else "any",
        lambda _p, _i, claims, _k, _now: claims.ver,
    ),
    Check(
        "issuer",
        _issuer,
        lambda _p, issuer, claims, _k, _now: issuer.of_token(claims.ver, issuer.tenant_id or "{tenantid}"),
        lambda _p, _i, claims, _k, _now: claims.iss,
    ),
    Check(
        "audience",
        _audience,
        lambda policy, _i, _c, _k, _now: sorted(policy.audiences),
        lambda _p, _i, claims, _k, _now: claims.aud,
    ),
)
"""What must be check_unverified before a key is looked up, so that junk never causes a fetch. It tells nobody
more than what the authority publishes: allow-lists are consulted after the signature only."""

POST_SIGNATURE_CHECKS: Final[tuple[Check, ...]] = (
    Check(
        "key origin",
        _key_origin,
        lambda _p, issuer, claims, _k, _now: _origin_words(fill(issuer.v2, claims.tid), issuer.cloud),
        lambda _p, _i, claims, key, _now: _origin_words(fill(key.issuer, claims.tid), key.cloud),
    ),
    Check(
        "tenant",
        _tenant,
        lambda policy, issuer, _c, _k, _now: (
            sorted(policy.tenants.ids) or issuer.tenant_id or policy.tenants.alias
        ),
        lambda _p, _i, claims, _k, _now: claims.tid,
    ),
    Check(
        "kind of token",
        _kind,
        lambda _p, _i, _c, _k, _now: "an access token, presented as bearer",
        lambda _p, _i, claims, _k, _now: _kind_found(claims),
    ),
    Check(
        "permission",
        _permission,
        lambda policy, _i, _c, _k, _now: _permission_expected(policy),
        lambda _p, _i, claims, _k, _now: _permission_found(claims),
    ),
)

CHECKLIST: Final[tuple[Check, ...]] = PRE_SIGNATURE_CHECKS + POST_SIGNATURE_CHECKS
"""Everything about the claims, in order; the signature is checked between the two."""


def _origin_words(issuer: str, cloud: str) -> str:
    return f"{issuer or 'any issuer'} in {cloud or 'any cloud'}"


def _kind_found(claims: Claims) -> str:
    if claims.cnf is not None:
        return "a token bound to a key (cnf)"
    if not claims.app_id:
        return "a token without azp or appid" + ("" if claims.scp else ": an ID token")
    return "an app-only token" if claims.is_app else "a token that acts for a user"


def _permission_expected(policy: Policy) -> str:
    allowed = policy.allowed_clients
    return "scp or roles" if allowed is None else f"a client among {', '.join(sorted(allowed))}"


def _permission_found(claims: Claims) -> str:
    granted = ", ".join([*claims.scopes, *claims.roles]) or "no permission"
    return f"client {claims.app_id or 'not named'} with {granted}"


def nearest_audience(policy: Policy, claims: Claims) -> str:
    """The accepted audience that a wrong one was probably meant to be, or ''."""
    wanted = claims.aud if isinstance(claims.aud, str) else " ".join(claims.aud)
    return next(iter(get_close_matches(wanted, sorted(policy.accepted), n=1)), "")
