"""The CHECKLIST for a token's claims: one small, pure function for each check.

A check takes (policy, issuer, claims, key, now) and returns a reason, or '' if the token passes. `Guard`,
`explain`, the tests and the README use the same tuple. Sources: Microsoft "Access tokens: validate
tokens", Microsoft.IdentityModel's validators for issuer, key and cloud, and RFC 9068 section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product, takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

from entra_guard._common.agent import AGENT_CLAIMS, agent_of
from entra_guard._common.audiences import GRAPH_AUDIENCES
from entra_guard._common.guid import is_guid, is_tenant_id
from entra_guard._common.utc import utc_text
from entra_guard._validation.issuer import Issuer, fill
from entra_guard._validation.openid_claims import OpenIdClaims
from entra_guard.policy import PERSONAL_TENANT, TOKEN_VERSIONS

if TYPE_CHECKING:
    from entra_guard._validation.claims import Claims
    from entra_guard._validation.jwks import KeyOrigin
    from entra_guard._validation.openid_claims import AnyClaims
    from entra_guard.policy import Policy


CheckFunction = Callable[["Policy", Issuer, "AnyClaims", "KeyOrigin", float], str]


class Case(NamedTuple):
    """Everything that a check decides from."""

    policy: Policy
    issuer: Issuer
    claims: AnyClaims
    key: KeyOrigin
    now: float


def _always(_policy: Policy) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, its decision, and what it expected and found, for a reader.

    `can_refuse` returns whether a policy lets it refuse any token at all. Where not, verifying skips it.
    """

    name: str
    decide: CheckFunction
    expected: Callable[[Case], object]
    found: Callable[[Case], object]
    can_refuse: Callable[[Policy], bool] = _always


def _version(policy: Policy, issuer: Issuer, claims: AnyClaims, _key: KeyOrigin, _now: float) -> str:
    version = claims.ver
    if not issuer.is_entra or (version in policy.token_versions and (version != "1.0" or issuer.v1)):
        return ""
    return "wrong_version" if version in TOKEN_VERSIONS else _why_not_of_entra(issuer, claims)


def _why_not_of_entra(issuer: Issuer, claims: AnyClaims) -> str:
    """Return why a token lacks what each token of Entra has: it may be of another issuer."""
    hosts = {_host(issuer.v1), _host(issuer.v2)}
    return "wrong_issuer" if issuer.v2 and _host(claims.iss) not in hosts else "invalid_claims"


def _lifetime(policy: Policy, _issuer: Issuer, claims: AnyClaims, _key: KeyOrigin, now: float) -> str:
    exp, nbf, leeway = claims.exp, claims.nbf, policy.leeway
    if nbf >= exp:  # also where there is no exp: an absent claim is -1
        return "invalid_claims"
    if exp <= now - leeway:
        return "expired"
    latest = now + leeway
    if nbf > latest:
        return "not_yet_valid"
    return "issued_in_future" if claims.iat > latest else ""


def _issuer(policy: Policy, issuer: Issuer, claims: AnyClaims, _key: KeyOrigin, _now: float) -> str:
    tid, own = claims.tid, issuer.tenant_id
    if not issuer.is_entra:
        return "" if claims.iss == issuer.v2 else "wrong_issuer"
    if tid == own if own else is_tenant_id(tid):
        template = issuer.v1 if claims.ver == "1.0" else issuer.v2
        if claims.iss == (template if own else fill(template, tid)):
            unwanted = tid == PERSONAL_TENANT and policy.tenants.alias == "organizations"
            return "personal_account" if unwanted else ""
    elif not is_tenant_id(tid):
        return _why_not_of_entra(issuer, claims)
    return _why_other_issuer(policy, issuer, claims)


def _why_other_issuer(policy: Policy, issuer: Issuer, claims: AnyClaims) -> str:
    """Return what is wrong about another issuer: tenant, cloud, or all of it."""
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


def _audience(policy: Policy, issuer: Issuer, claims: AnyClaims, _key: KeyOrigin, _now: float) -> str:
    aud = claims.aud
    if isinstance(aud, str):
        if aud in policy.accepted:
            return ""
        if aud in GRAPH_AUDIENCES:
            return "token_for_graph"
        # The audience of an ID token is the client, so that this check refuses it before that of the kind.
        return "id_token" if issuer.is_entra and not claims.app_id and not claims.scopes else "wrong_audience"
    # Entra writes one audience. Other OpenID issuers may write several (RFC 7519 section 4.1.3).
    return "wrong_audience" if issuer.is_entra or policy.accepted.isdisjoint(aud) else ""


def _key_origin(_policy: Policy, issuer: Issuer, claims: AnyClaims, key: KeyOrigin, _now: float) -> str:
    template, cloud = key.issuer, key.cloud
    if template and template != issuer.v2:
        theirs = fill(template, claims.tid)
        if theirs not in (claims.iss, fill(issuer.v2, claims.tid)):
            return "key_of_other_issuer"
    return "key_of_other_cloud" if cloud != issuer.cloud and cloud and issuer.cloud else ""


def _tenant(policy: Policy, _issuer: Issuer, claims: AnyClaims, _key: KeyOrigin, _now: float) -> str:
    allowed = policy.tenants.ids
    return "wrong_tenant" if allowed and claims.tid not in allowed else ""


def _kind(_policy: Policy, _issuer: Issuer, claims: AnyClaims, _key: KeyOrigin, _now: float) -> str:
    if claims.cnf is not None:
        return "proof_of_possession_required"
    if type(claims) is OpenIdClaims:
        return "id_token" if claims.why_not_access_token else ""
    app_id = claims.app_id
    if not is_guid(app_id):
        return "invalid_claims" if app_id or claims.scp else "id_token"
    if claims.at_hash is not None or claims.c_hash is not None:
        return "id_token"
    if not claims.oid and _lacks_object_id(claims):
        return "no_service_principal"
    return "invalid_claims" if claims.idtyp == "app" and claims.scopes else ""


def _permission(policy: Policy, issuer: Issuer, claims: AnyClaims, _key: KeyOrigin, _now: float) -> str:
    allowed = policy.allowed_clients
    if allowed is None:
        return "" if claims.roles or _permitting_scopes(claims) else "no_permissions"
    client = claims.app_id.lower() if issuer.is_entra else claims.app_id
    return "" if client in allowed else "client_not_allowed"


def _permitting_scopes(claims: AnyClaims) -> tuple[str, ...]:
    return claims.permitting_scopes if type(claims) is OpenIdClaims else claims.scopes


def _guest(policy: Policy, _issuer: Issuer, claims: AnyClaims, _key: KeyOrigin, _now: float) -> str:
    return "" if policy.guests or claims.is_guest is False else "guest_not_allowed"


def _agent(policy: Policy, _issuer: Issuer, claims: AnyClaims, _key: KeyOrigin, _now: float) -> str:
    if policy.agents is True:
        return ""
    if policy.agents is False:
        return "agent_not_allowed" if _agent_found(claims) != _NO_AGENT else ""
    return "agent_required" if _agent_found(claims) == _NO_AGENT else ""


def _times_found(case: Case) -> dict[str, object]:
    claims = case.claims
    times = {"iat": claims.iat, "nbf": claims.nbf, "exp": claims.exp}
    return {name: utc_text(value) if value >= 0 else None for name, value in times.items()}


def issuer_expected(case: Case) -> str:
    """Return the issuer that a token must name."""
    issuer = case.issuer
    return issuer.of_token(case.claims.ver, issuer.tenant_id or "{tenantid}")


def _tenants_expected(case: Case) -> object:
    tenants = case.policy.tenants
    return sorted(tenants.ids) or case.issuer.tenant_id or tenants.alias


# What must pass before a key is looked up, so that junk never causes a fetch. A refusal here reveals only
# what the authority publishes: allow-lists are consulted after the signature.
PRE_SIGNATURE_CHECKS: Final[tuple[Check, ...]] = (
    Check(
        "lifetime",
        _lifetime,
        lambda case: f"nbf <= {utc_text(case.now)} < exp, {case.policy.leeway:g} s leeway",
        _times_found,
    ),
    Check(
        "version",
        _version,
        lambda case: sorted(case.policy.token_versions) if case.issuer.is_entra else "any",
        lambda case: case.claims.ver,
    ),
    Check("issuer", _issuer, issuer_expected, lambda case: case.claims.iss),
    Check("audience", _audience, lambda case: sorted(case.policy.audiences), lambda case: case.claims.aud),
)

POST_SIGNATURE_CHECKS: Final[tuple[Check, ...]] = (
    Check(
        "key origin",
        _key_origin,
        lambda case: _origin_words(fill(case.issuer.v2, case.claims.tid), case.issuer.cloud),
        lambda case: _origin_words(fill(case.key.issuer, case.claims.tid), case.key.cloud),
    ),
    Check(
        "tenant",
        _tenant,
        _tenants_expected,
        lambda case: case.claims.tid,
        can_refuse=lambda policy: bool(policy.tenants.ids),
    ),
    Check(
        "kind of token",
        _kind,
        lambda _case: "an access token, presented as bearer",
        lambda case: _kind_found(case.claims),
    ),
    Check(
        "permission",
        _permission,
        lambda case: _permission_expected(case.policy),
        lambda case: _permission_found(case.claims),
    ),
    Check(
        "guest",
        _guest,
        lambda case: "a member or a guest" if case.policy.guests else "a member of the tenant",
        lambda case: _guest_found(case.claims),
        can_refuse=lambda policy: not policy.guests,
    ),
    Check(
        "agent",
        _agent,
        lambda case: _AGENTS_EXPECTED[case.policy.agents],
        lambda case: _agent_found(case.claims),
        can_refuse=lambda policy: policy.agents is not True,
    ),
)

# All checks of the claims, in order. The signature is verified between the two parts.
CHECKLIST: Final[tuple[Check, ...]] = PRE_SIGNATURE_CHECKS + POST_SIGNATURE_CHECKS


def checks_after_signature(policy: Policy) -> tuple[CheckFunction, ...]:
    """Return the decisions of POST_SIGNATURE_CHECKS that can refuse a token under a policy, in order."""
    return tuple(check.decide for check in POST_SIGNATURE_CHECKS if check.can_refuse(policy))


def _origin_words(issuer: str, cloud: str) -> str:
    return f"{issuer or 'any issuer'} in {cloud or 'any cloud'}"


def _kind_found(claims: AnyClaims) -> str:
    if claims.cnf is not None:
        return "a token bound to a key (cnf)"
    if fault := _kind_fault(claims):
        return fault
    if claims.is_app is None:
        return "a token of a user or an application: it does not say which"
    return "an app-only token" if claims.is_app else "a token that acts for a user"


def _kind_fault(claims: AnyClaims) -> str:
    """Return why a token is not an access token, in words, or ''."""
    if isinstance(claims, OpenIdClaims):
        return claims.why_not_access_token
    if not claims.app_id:
        return "a token without azp or appid" + ("" if claims.scp else ": an ID token")
    if claims.at_hash is not None or claims.c_hash is not None:
        return "at_hash or c_hash: an ID token"
    return "an app-only token without oid" if _lacks_object_id(claims) else ""


def _lacks_object_id(claims: Claims) -> bool:
    """Return whether an application without a service principal got the token; scp is of users only."""
    return not claims.oid and (claims.is_app or not claims.scp)


def _permission_expected(policy: Policy) -> str:
    allowed = policy.allowed_clients
    return "scp or roles" if allowed is None else f"a client among {', '.join(sorted(allowed))}"


def _permission_found(claims: AnyClaims) -> str:
    granted = ", ".join([*_permitting_scopes(claims), *claims.roles]) or "no permission"
    return f"client {claims.app_id or 'not named'} with {granted}"


def _guest_found(claims: AnyClaims) -> str:
    found = {True: "a guest", False: "not a guest", None: "unknown: no acct, no idp"}
    return found[claims.is_guest]


_NO_AGENT: Final = "not an agent"


def _agent_found(claims: AnyClaims) -> str:
    """Return the kind of agent that a token is issued to. Agents are a notion of Entra."""
    if isinstance(claims, OpenIdClaims):
        return _NO_AGENT
    about_agent = {name: getattr(claims, name) for name in AGENT_CLAIMS}
    agent = agent_of(about_agent, is_app=claims.is_app)
    return _NO_AGENT if agent is None else f"an agent: {agent.kind}"


_AGENTS_EXPECTED: Final[dict[object, str]] = {True: "any caller", False: "not an agent", "only": "an agent"}


def nearest_audience(policy: Policy, claims: AnyClaims) -> str:
    """Return the accepted audience that a wrong one was probably meant to be, or ''.

    The audience may be any text: the comparison takes linear time, of a bounded part of it.
    """
    found = (claims.aud,) if isinstance(claims.aud, str) else claims.aud[:_MOST_COMPARED] or ("",)
    accepted = sorted({name.rstrip("/") for name in policy.accepted})[:_MOST_COMPARED]
    pairs = product(found, accepted)
    different, _, nearest = min((*_difference(*pair), pair[1]) for pair in pairs)
    return nearest if different <= _MOST_DIFFERENT else ""


_MOST_COMPARED: Final = 5
_LONGEST_COMPARED: Final = 200
_MOST_DIFFERENT: Final = 4
_OTHER: Final = 1000


def _difference(found: str, accepted: str) -> tuple[int, int]:
    """Return how many characters differ in one place (`_OTHER` if in several), and minus those before it.

    Letter case does not count. A scheme, a slash at the end, '/.default' and a scope's name count as one.
    """
    one, other = found[:_LONGEST_COMPARED].lower(), accepted.lower()
    begin = _common_length(one, other)
    end = _common_length(one[begin:][::-1], other[begin:][::-1])
    different = max(len(one), len(other)) - begin - end
    if different <= _MOST_DIFFERENT < begin + end:
        return different, -begin
    one, other = one.partition("://")[2] or one, other.partition("://")[2] or other
    is_same = one == other or one.startswith(f"{other.rstrip('/')}/")
    return 1 if is_same else _OTHER, -begin


def _common_length(one: str, other: str) -> int:
    """Return how many characters at the beginning are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
