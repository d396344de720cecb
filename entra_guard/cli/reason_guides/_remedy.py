"""Choose the fix for one refusal of one token, with its ids filled in. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.audiences import plain
from entra_guard._common.guid import is_guid
from entra_guard._keys.authority import cloud_of
from entra_guard._keys.authority_errors import names_setting
from entra_guard._validation.hints import LONGER, NO_CLIENT_ID, OTHER_API, OWN_ID
from entra_guard.cli.reason_guides import GUIDES, filled, is_filled
from entra_guard.policy import TENANT_ALIASES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from entra_guard.cli.reason_guides import Guide
    from entra_guard.policy import Policy
    from entra_guard.requirement import Requirement

_HARMLESS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:/@+-]{0,200}")
# With these hints the guard's audience is wrong.
_WRONG_AUDIENCE: Final = frozenset({OWN_ID, NO_CLIENT_ID, LONGER})


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do about a refusal.

    Attributes:
        causes: The usual causes, the most probable first.
        sentences: What to change, in words.
        commands: Commands of ours, in order; what is there already stays.
        settings: Environment variables of the guard, in place of the commands.
        portal: The same in the admin center.
    """

    causes: tuple[str, ...]
    sentences: tuple[str, ...]
    commands: tuple[str, ...]
    settings: tuple[str, ...]
    portal: str


def known_values(
    policy: Policy, claims: Mapping[str, Any], facts: Mapping[str, Any], requirement: Requirement | None
) -> dict[str, str]:
    """Return the ids of a case, by placeholder; '' for what is not known.

    Some are claims of an unverified token, and the commands are made to be pasted into a shell: a value with
    any other character than those of ids and App ID URIs counts as not known.
    """
    missing = str(facts.get("missing") or "")
    roles, scopes = (requirement.roles, requirement.scopes) if requirement else ((), ())
    apis = sorted(plain(audience) for audience in policy.audiences if is_guid(plain(audience)))
    audience = claims.get("aud")
    values = {
        "api": apis[0] if apis else min(policy.audiences),
        "client": str(facts.get("app_id") or claims.get("azp") or claims.get("appid") or ""),
        "role": missing if missing in roles else next(iter(roles), ""),
        "scope": missing if missing in scopes else next(iter(scopes), ""),
        "tenant": "" if policy.tenants.alias in TENANT_ALIASES else policy.tenants.alias,
        # Entra takes the client id as the name of an API too, whatever its App ID URI is.
        "request_scope": f"{apis[0] if apis else policy.app_id_uri}/.default",
        "found": audience if isinstance(audience, str) else "",
        "user": str(claims.get("oid") or ""),
        "authority": _authority_of(claims) if claims.get("iss") == facts.get("found") else "",
        "graph_client": str(facts.get("graph_app_id") or ""),
    }
    known = {name: value if _HARMLESS.fullmatch(value) else "" for name, value in values.items()}
    # These two replace a setting: what is accepted so far stays.
    known["allowed"] = _added(policy.allowed_clients or (), known["client"])
    known["audiences"] = _added(_right_audiences(policy, known, str(facts.get("nearest"))), known["found"])
    return known


def _right_audiences(policy: Policy, known: Mapping[str, str], nearest: str) -> list[str]:
    """Return the accepted audiences without a wrong one: misspelt, longer than the right one, the caller's."""
    found, client = plain(known["found"]), known["client"].lower()
    return [
        name
        for name in policy.audiences
        if plain(name) != client and name.rstrip("/") != nearest and found not in plain(name)
    ]


def _added(names: Iterable[str], name: str) -> str:
    """Return names and one more as a setting; '' if one of them is not harmless."""
    every = [*sorted(names), name]
    return ",".join(every) if all(map(_HARMLESS.fullmatch, every)) else ""


def _authority_of(claims: Mapping[str, Any]) -> str:
    """Return the authority that issues such tokens: a cloud, an External ID tenant, or a B2C policy; else ''."""
    scheme, _, rest = str(claims.get("iss")).partition("://")
    host, _, path = rest.partition("/")
    origin = f"{scheme}://{host}"
    if host.endswith(".ciamlogin.com"):
        return origin
    policy = claims.get("tfp") or claims.get("acr")
    if host.endswith(_B2C_HOST):
        return f"{origin}/{path.partition('/')[0]}/{policy}" if policy else ""
    return cloud_of(origin)


_B2C_HOST: Final = ".b2clogin.com"


def remedy(
    reason: str,
    values: Mapping[str, str],
    facts: Mapping[str, Any],
    claims: Mapping[str, Any],
    target: Sequence[str] = (),
) -> Remedy:
    """Return what to do about a refusal.

    Args:
        reason: The reason's name.
        values: The ids of the case: `known_values`.
        facts: The facts of the refusal.
        claims: The token's claims, unverified.
        target: The options that name the tenant in which 'entra-guard app' commands work.
    """
    guide = GUIDES[reason]
    chosen = _CHOOSE.get(reason, _all)(guide, facts, claims)
    return Remedy(
        tuple(filled(cause, values) for cause in guide.causes),
        (filled(chosen.sentence, values),) if chosen.sentence else (),
        tuple(_at(filled(command, values), target) for command in chosen.commands),
        tuple(filled(setting, values) for setting in chosen.settings if is_filled(setting, values)),
        filled(guide.portal, values) if chosen.is_registration else "",
    )


def _at(command: str, target: Sequence[str]) -> str:
    return " ".join((command, *target)) if command.startswith("entra-guard app ") else command


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The part of a guide that fits a case."""

    sentence: str
    commands: Sequence[str] = ()
    settings: Sequence[str] = ()
    is_registration: bool = True


def _all(guide: Guide, _facts: Mapping[str, Any], _claims: Mapping[str, Any]) -> _Chosen:
    return _Chosen(guide.otherwise, guide.commands, guide.settings)


def _of_audience(guide: Guide, facts: Mapping[str, Any], claims: Mapping[str, Any]) -> _Chosen:
    """Choose by what the wrong audience looks like: the API's own name, or another API's."""
    update, new_token = guide.commands
    hint, audience = str(facts.get("hint") or ""), claims.get("aud")
    if hint in _WRONG_AUDIENCE or facts.get("nearest"):
        return _Chosen(_SET_AUDIENCE, settings=("ENTRA_GUARD_AUDIENCE={audiences}",), is_registration=False)
    is_uri = isinstance(audience, str) and not is_guid(plain(audience))
    if claims.get("ver") == "1.0" and is_uri and not hint:
        same = new_token.replace("{request_scope}", "{found}/.default")
        return _Chosen(_USE_V2, (update, same), ("ENTRA_GUARD_AUDIENCE={audiences}",))
    return _Chosen(_COMPARE if hint == OTHER_API else guide.otherwise, (new_token,))


_COMPARE: Final = (
    "If the token is for another API, let the client request {request_scope}, and send that token to this API. If it is "
    "for this API, the guard's audience is wrong: compare it with the Application (client) ID in the portal."
)
_SET_AUDIENCE: Final = (
    "If the token is meant for this API, set the guard's audience to what the token has. If it is not, let the "
    "client request {request_scope}."
)
_USE_V2: Final = (
    "If the token is meant for this API: a v1.0 token has the App ID URI that the client named. Let the API "
    "request v2.0 tokens, whose audience is its client id. If it is meant for another API, let the client "
    "request {request_scope}."
)


def _of_role(guide: Guide, facts: Mapping[str, Any], claims: Mapping[str, Any]) -> _Chosen:
    """Choose between the role of an application and that of a user."""
    if facts.get("is_app") is False or claims.get("scp"):
        add = "entra-guard app role add {api} {role} --for users"
        return _Chosen(guide.otherwise, (add, "entra-guard app role assign {api} {role} --user {user}"))
    return _all(guide, facts, claims)


def _of_scope(guide: Guide, facts: Mapping[str, Any], claims: Mapping[str, Any]) -> _Chosen:
    """Return the fix of a missing scope: an app-only token can never have one."""
    if facts.get("is_app"):
        return _Chosen(_NO_USER, is_registration=False)
    return _all(guide, facts, claims)


_NO_USER: Final = (
    "The token is an application's own: it has roles, not scopes. Let a user sign in, or let the route accept a "
    "role as an alternative: @requires(Requirement(scopes=[...]), Requirement(roles=[...]))."
)


def _of_guest(guide: Guide, facts: Mapping[str, Any], claims: Mapping[str, Any]) -> _Chosen:
    """Choose between a guest, and a user whose token does not say."""
    if str(claims.get("acct")) == "1" or facts.get("is_guest") is True:
        return _Chosen(_GUEST, settings=guide.settings, is_registration=False)
    return _Chosen("", guide.commands)


_GUEST: Final = "The user is a guest of the tenant. Call as a member, or accept guests: guests=True on the guard and the route."


def _of_keys(guide: Guide, facts: Mapping[str, Any], claims: Mapping[str, Any]) -> _Chosen:
    """Choose between the network, and a setting with which Entra has no keys."""
    if names_setting(str(facts.get("detail"))):
        return _Chosen(_WRONG_SETTING, is_registration=False)
    if facts.get("step") in {"http", "content"}:
        return _Chosen(_WRONG_RESPONSE, is_registration=False)
    return _all(guide, facts, claims)


_WRONG_SETTING: Final = "Entra was reached. Correct the guard's setting that 'detail' names."
_WRONG_RESPONSE: Final = (
    "A server responded, and 'detail' says what. Check the guard's authority and tenant, and whether a proxy responds in "
    "Entra's place. If Entra has an outage, wait: a keys file that was saved before helps."
)


def _of_issuer(guide: Guide, _facts: Mapping[str, Any], claims: Mapping[str, Any]) -> _Chosen:
    """Choose by the issuer: for a product of Microsoft's that the guard can be set to, the setting."""
    authority = _authority_of(claims)
    if not _HARMLESS.fullmatch(authority):
        return _Chosen(guide.otherwise, guide.commands)
    if _B2C_HOST in authority:
        without_tenant = (*guide.settings, "ENTRA_GUARD_TENANT=")
        return _Chosen(_B2C, settings=without_tenant, is_registration=False)
    return _Chosen(_OTHER_AUTHORITY, settings=guide.settings, is_registration=False)


_B2C: Final = (
    "The token is of a B2C policy. If this policy is yours, and the API is for its users, set the guard's authority "
    "to the policy, without a tenant."
)
_OTHER_AUTHORITY: Final = (
    "The token is of another authority of Microsoft. If the API is for its users, set the guard's authority to it, "
    "and the tenant to your tenant there. If it is not, get the token from {tenant}."
)


def _of_groups(guide: Guide, facts: Mapping[str, Any], _claims: Mapping[str, Any]) -> _Chosen:
    """Choose between a permission that the guard's own credential lacks in Graph, and any other refusal."""
    if "Authorization_RequestDenied" in str(facts.get("detail")):
        return _Chosen(_GRAPH_PERMISSION, guide.commands)
    return _Chosen(guide.otherwise)


_GRAPH_PERMISSION: Final = (
    "Graph refused: the application whose credential the GroupResolver has ({graph_client}) needs the permissions "
    "GroupMember.Read.All and User.Read.All. Restart the API then, as it keeps Graph's token."
)
_CHOOSE: Final = {
    "wrong_issuer": _of_issuer,
    "groups_overage": _of_groups,
    "keys_unavailable": _of_keys,
    "wrong_audience": _of_audience,
    "missing_role": _of_role,
    "missing_scope": _of_scope,
    "guest_not_allowed": _of_guest,
}
