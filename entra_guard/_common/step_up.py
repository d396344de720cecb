"""Decide whether the sign-in behind a token is strong and recent enough, and how to request a better one.

Entra requires a stronger sign-in by authentication contexts, c1 to c99, which the token lists in 'acrs'
(Microsoft: "Developer guide to Conditional Access authentication context"). A client that declared the
capability 'cp1' takes a claims challenge (Microsoft: "Claims challenges"). Other issuers follow RFC 9470,
by 'acr' and 'auth_time'.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, cast

from entra_guard._common.arguments import check_seconds
from entra_guard._common.permission_names import SCOPE_TOKEN
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_ENTRA: Final = re.compile(r"c[1-9][0-9]?")
_ALMOST_OF_ENTRA: Final = re.compile(r"\s*c?\s*\d+\s*", re.IGNORECASE)
CAPABILITY: Final = "cp1"
HOW_TO_GET_CHALLENGES: Final = (
    "the client gets no claims challenge, as its token has no 'xms_cc' with 'cp1': add the optional claim "
    "'xms_cc' to the API's access tokens, and let the client declare client_capabilities=['cp1']"
)


def check_step_up(auth_context: object, max_age: object) -> None:
    """Refuse settings that no token can meet.

    Raises:
        ConfigurationError: They are not valid.
    """
    if not isinstance(auth_context, str):
        raise ConfigurationError(f"auth_context must be a string such as 'c1', got {auth_context!r}")
    almost = _ALMOST_OF_ENTRA.fullmatch(auth_context) and not _OF_ENTRA.fullmatch(auth_context)
    if auth_context and (almost or not SCOPE_TOKEN.fullmatch(auth_context)):
        raise ConfigurationError(
            f"auth_context must be one id of an authentication context, 'c1' to 'c99', got {auth_context!r}"
        )
    if max_age is not None:
        check_seconds("max_age", max_age)


def check_issuer_supports(auth_context: str, max_age: float | None, *, is_entra: bool) -> None:
    """Refuse what the issuer of a token does not support.

    Raises:
        ConfigurationError: `max_age` with Entra, or a context that Entra cannot have.
    """
    if not is_entra:
        return
    if max_age is not None:
        raise ConfigurationError(
            "max_age does not work with Entra, whose clients cannot request it. Require "
            "an authentication context whose Conditional Access policy has a sign-in frequency: "
            "requires(auth_context='c1')"
        )
    if auth_context and not _OF_ENTRA.fullmatch(auth_context):
        raise ConfigurationError(f"Entra has the authentication contexts 'c1' to 'c99', got {auth_context!r}")


def missing_sign_in(
    claims: Mapping[str, Any], auth_context: str, max_age: float | None, now: float, *, is_entra: bool
) -> str:
    """Return the reason why a sign-in does not suffice; '' if it does.

    Args:
        claims: The verified token's.
        auth_context: The authentication context that is required; '' for any.
        max_age: Seconds since the sign-in that are allowed; None for any.
        now: Seconds since the epoch.
        is_entra: Whether Entra issued the token.
    """
    if auth_context and auth_context not in contexts_in(claims, is_entra=is_entra):
        return "auth_context_required"
    if max_age is not None:
        signed_in: Any = claims.get("auth_time")
        is_number = isinstance(signed_in, int | float) and not isinstance(signed_in, bool)
        if not is_number or now - signed_in > max_age:
            return "sign_in_too_old"
    return ""


def contexts_in(claims: Mapping[str, Any], *, is_entra: bool) -> list[str]:
    """Return the authentication contexts that a token fulfils."""
    return _strings(claims.get("acrs" if is_entra else "acr"))


def takes_claims_challenge(claims: Mapping[str, Any]) -> bool:
    """Return whether the client declared that it takes claims challenges."""
    return any(capability.lower() == CAPABILITY for capability in _strings(claims.get("xms_cc")))


def claims_request(name: str, value: str) -> str:
    """Return the claims request of a challenge, as JSON (OpenID Connect Core section 5.5.1).

    Example:
        >>> claims_request("acrs", "c1")
        '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
    """
    wanted = {"access_token": {name: {"essential": True, "value": value}}}
    return json.dumps(wanted, separators=(",", ":"))


def authorization_uri(claims: Mapping[str, Any]) -> str:
    """Return the authorize endpoint of the tenant that issued a token, for a challenge; '' if not known.

    Args:
        claims: The verified token's. A v1.0 token names 'sts.windows.net', in more than one cloud.

    Example:
        >>> authorization_uri({"iss": "https://login.microsoftonline.com/{tenant id}/v2.0"})
        'https://login.microsoftonline.com/{tenant id}/oauth2/v2.0/authorize'
    """
    issuer = str(claims.get("iss", ""))
    base = issuer.removesuffix("v2.0")
    return "" if base == issuer else f"{base}oauth2/v2.0/authorize"


def _strings(value: object) -> list[str]:
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str)]
