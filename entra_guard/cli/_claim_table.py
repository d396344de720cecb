"""The claims of a token for a reader: each with its meaning, times relative to now, and nothing personal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.guid import is_guid
from entra_guard.cli._formatting import format_time, format_value, relative_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MEANING: Final = {
    "aud": "the API that the token is for",
    "iss": "the issuer",
    "tid": "the tenant of the issuer",
    "ver": "the version, as the API's registration requests",
    "idp": "where the user's account is, if not in this tenant",
    "iat": "issued",
    "nbf": "valid since",
    "exp": "expires",
    "auth_time": "the user signed in",
    "azp": "the client that requested the token",
    "appid": "the client that requested the token",
    "azpacr": "how the client authenticated",
    "appidacr": "how the client authenticated",
    "oid": "the caller in this tenant",
    "sub": "the caller, for this API",
    "idtyp": "app: without a user",
    "roles": "app roles that the caller has",
    "scp": "what the client may do for the user",
    "acct": "0: a member of the tenant, 1: a guest",
    "acrs": "authentication contexts that the sign-in meets",
    "xms_cc": "what the client can handle: cp1 for claims challenges",
    "groups": "groups of the user",
    "wids": "directory roles of the user",
    "uti": "the token's id, also in Entra's sign-in log",
    "cnf": "the key that the token is bound to",
}
_TIMES: Final = frozenset({"iat", "nbf", "exp", "auth_time"})
_PROOFS: Final = {"0": "0: no credential", "1": "1: a secret", "2": "2: a certificate or assertion"}
PERSONAL: Final = frozenset(
    {"name", "preferred_username", "upn", "unique_name", "email", "given_name", "family_name", "nickname"}
    | {"ipaddr", "phone_number", "address", "login_hint", "verified_primary_email", "onprem_sid"}
    | {"verified_secondary_email", "birthdate", "picture", "in_corp", "samaccountname", "dnsdomainname"}
)
_MOST_ITEMS: Final = 12
_LONGEST: Final = 300


def claim_table(claims: Mapping[str, Any], now: float) -> list[tuple[str, str, str]]:
    """Return the claims that matter, each with its value and meaning, in a fixed order.

    Values of personal claims, and of claims that this table does not know, are not in it: `other_claims`
    names these.

    Args:
        claims: The claims, unverified.
        now: Seconds since 1970.
    """
    rows = [(name, claims[name], meaning) for name, meaning in _MEANING.items() if name in claims]
    return [_row(name, value, meaning, now) for name, value, meaning in rows]


def other_claims(claims: Iterable[str]) -> list[str]:
    """Return the names of the claims whose values are not shown; personal ones are marked."""
    names = sorted(name for name in claims if name not in _MEANING)
    return [f"{format_value(name)} (personal)" if name in PERSONAL else format_value(name) for name in names]


def _row(name: str, value: Any, meaning: str, now: float) -> tuple[str, str, str]:
    if name in _TIMES and isinstance(value, int | float) and not isinstance(value, bool):
        return name, _time(value), f"{meaning} {relative_time(value - now)}"
    if name in {"azpacr", "appidacr"}:
        return name, _PROOFS.get(str(value), format_value(value)), meaning
    if name == "sub" and isinstance(value, str) and not is_guid(value):
        meaning = "the user, with another value for each API"
    return name, format_claim(value), meaning


def format_claim(value: Any) -> str:
    """Return a claim's value on one line, and not longer than a reader needs."""
    if isinstance(value, list) and len(value) > _MOST_ITEMS:  # pyright: ignore[reportUnknownArgumentType]
        return f"{format_value(value[:_MOST_ITEMS])[:_LONGEST]} and {len(value) - _MOST_ITEMS} more"  # pyright: ignore[reportUnknownArgumentType]
    return format_value(value)[:_LONGEST]


def _time(seconds: float) -> str:
    try:
        return format_time(seconds)
    except (ValueError, OverflowError, OSError):
        return "not a time"
