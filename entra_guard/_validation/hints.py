"""Guess what a wrong audience was meant to be, for the operator. Pure; decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard._common.audiences import plain
from entra_guard._common.guid import is_guid

if TYPE_CHECKING:
    from entra_guard._validation.openid_claims import AnyClaims
    from entra_guard.policy import Policy

# Hints that say the guard's audience is wrong, not the token: the fix depends on them.
OWN_ID: Final = "the configured audience is the client id of the caller: set it to the client id of this API"
NO_CLIENT_ID: Final = (
    "the guard has only an App ID URI, and v2.0 tokens have the API's client id: set it if this is the API's"
)
LONGER: Final = "the configured audience has more in it than the client id that the token has"
OTHER_API: Final = (
    "it is for another registration of the same tenant, or the configured audience is an object id "
    "and not the API's client id"
)
_KNOWN: Final = {
    "https://management.azure.com": "Azure Resource Manager",
    "https://management.core.windows.net": "Azure Resource Manager",
    "797f4846-ba00-4fd7-ba43-dac1f8f63013": "Azure Resource Manager",
    "https://vault.azure.net": "Key Vault",
    "cfa8b339-82a2-471a-a3c9-0fc0be7a4093": "Key Vault",
    "https://storage.azure.com": "Azure Storage",
    "https://database.windows.net": "Azure SQL",
    "00000002-0000-0000-c000-000000000000": "Azure AD Graph, which is retired",
}


def audience_hint(policy: Policy, claims: AnyClaims, nearest: str, own_tenant: str) -> str:
    """Return in words why a token probably has another audience, '' if that is not known.

    Args:
        policy: What is accepted.
        claims: The claims of the token.
        nearest: The accepted audience that is most similar, '' if none is.
        own_tenant: The tenant of the guard, '' if there are several.
    """
    found = claims.aud if isinstance(claims.aud, str) else " ".join(claims.aud[:1])
    client = claims.app_id.lower()
    if nearest:
        return _difference(found, nearest)
    if name := _KNOWN.get(found.lower().rstrip("/")):
        return f"it is a token for {name}"
    if client and plain(found) == client:
        return "the client requested its own client id: it must request a scope of this API"
    audiences = {plain(name) for name in policy.audiences}
    if client and client in audiences:
        return OWN_ID
    return _of_client_id(plain(found), audiences, is_ours=_is_ours(policy, claims, own_tenant))


def _is_ours(policy: Policy, claims: AnyClaims, own_tenant: str) -> bool:
    return bool(claims.tid) and claims.tid in ({own_tenant} | policy.tenants.ids)


def _of_client_id(found: str, audiences: set[str], *, is_ours: bool) -> str:
    """Return what an audience that is a client id means, '' if it is none or nothing is known about it."""
    if not is_guid(found):
        return ""
    if any(found in audience for audience in audiences):
        return LONGER
    if not any(map(is_guid, audiences)):
        return NO_CLIENT_ID
    return OTHER_API if is_ours else ""


def _difference(found: str, nearest: str) -> str:
    """Return in words how two similar audiences differ."""
    bare_found, bare = found.rstrip("/"), nearest.rstrip("/")
    if bare_found == bare:
        return "it differs in the slash at the end"
    if bare_found.lower() == bare.lower():
        return "it differs in letter case only: Entra compares App ID URIs exactly"
    if f"api://{bare_found}".lower() == bare.lower():
        return "it lacks 'api://'"
    if bare_found.lower().startswith(f"{bare.lower()}/"):
        return "it has the name of a scope at its end: the audience is the part before"
    if bare_found.partition("://")[2] == bare.partition("://")[2] != "":
        return "it differs in the scheme"
    return "it is almost the same: compare character by character"
