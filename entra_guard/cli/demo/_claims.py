"""The claims of the demo's token, with an explanation of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard.cli._formatting import format_time, format_value, relative_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MEANING: Final = {
    "aud": "for the Orders API",
    "iss": "issued by this tenant",
    "iat": "issued",
    "nbf": "valid since",
    "exp": "expires",
    "azp": "requested by the daemon",
    "azpacr": "1: authenticated with a secret",
    "oid": "the daemon in this tenant",
    "roles": "granted by the administrator",
    "sub": "same as oid: no user is signed in",
    "tid": "this tenant",
    "uti": "its id in Entra's sign-in log",
    "ver": "as the API's registration requests",
}
_TIMES: Final = frozenset({"iat", "nbf", "exp"})


def claim_rows(claims: Mapping[str, Any], now: float) -> Iterator[tuple[str, str, str]]:
    """Return each claim with its value and meaning; the last row lists claims for Entra's own use."""
    for name, value in claims.items():
        if name in _TIMES:
            yield name, format_time(value), f"{_MEANING[name]} {relative_time(value - now)}"
        elif name in _MEANING:
            yield name, format_value(value), _MEANING[name]
    if rest := [name for name in claims if name not in _MEANING]:
        yield "others", ", ".join(rest), "for Entra's own use"
