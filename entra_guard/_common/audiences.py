"""Audiences as configured and as tokens have them. Refuses what no token can carry, with the right value."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from entra_guard._common.guid import is_guid
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

GRAPH_AUDIENCES: Final = frozenset(
    {
        "00000003-0000-0000-c000-000000000000",
        "https://graph.microsoft.com",
        "https://graph.microsoft.com/",
        "https://graph.microsoft.us",
        "https://dod-graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
    }
)
# Microsoft: "Workload identity federation": the API for token exchanges, and that of other clouds by the end
# of the authority's host.
EXCHANGE_AUDIENCE: Final = "api://AzureADTokenExchange"
EXCHANGE_AUDIENCES: Final = {
    "microsoftonline.us": "api://AzureADTokenExchangeUSGov",
    "usgovcloudapi.net": "api://AzureADTokenExchangeUSGov",
    "microsoftonline.cn": "api://AzureADTokenExchangeChina",
    "chinacloudapi.cn": "api://AzureADTokenExchangeChina",
}
QUOTES: Final = "\"'`\u2018\u2019\u201c\u201d"
_NOTHING: Final = frozenset({"", "none", "null", "undefined", "nan"})
_PLACEHOLDER: Final = re.compile(r"[<>{}$]|%\w+%|\byour[-_ ]", re.IGNORECASE)
SEPARATORS: Final = re.compile(r"[,;\s]+")
_ISSUERS: Final = (
    "https://login.microsoftonline.",
    "https://sts.windows.net/",
    "https://login.partner.microsoftonline.cn",
)
IS_IT_SET: Final = "Is the environment variable set?"


def plain(audience: str) -> str:
    """Return what is compared of an audience: without 'api://' and a last slash, in lower case."""
    return audience.lower().removeprefix("api://").rstrip("/")


def accepted_forms(audience: str) -> set[str]:
    """Return the forms in which tokens have an audience.

    v1.0 tokens have any App ID URI, with or without a last slash.
    """
    client_id = plain(audience)
    if is_guid(client_id):
        return {audience, client_id, f"api://{client_id}", f"api://{client_id}/"}
    if ":" not in audience:
        return {audience}
    return {audience, audience.removesuffix("/"), f"{audience.removesuffix('/')}/"}


def check_audience(audience: str, tenants: Iterable[str], *, is_entra: bool) -> None:
    """Refuse an audience that no token can have.

    Args:
        audience: A non-empty string without spaces around it.
        tenants: The tenant ids that are accepted.
        is_entra: Whether Entra issues the tokens; other issuers choose audiences of any form.

    Raises:
        ConfigurationError: It is impossible; the text has the right value where that is known.
    """
    wrong = _quoted(audience) or _scope(audience) or _nothing(audience) or _several(audience)
    if not wrong and is_entra:
        wrong = _placeholder(audience) or _other_thing(audience, frozenset(tenants)) or _malformed(audience)
    if wrong:
        raise ConfigurationError(f"audience {audience!r} {wrong}")


def _quoted(audience: str) -> str:
    if audience[0] in "[{(" and audience[-1] in "]})" and (items := json_strings(audience)):
        return f"is a JSON list: use {' '.join(items)!r} in an environment variable, or a Python list"
    if audience[0] in QUOTES or audience[-1] in QUOTES:
        bare = audience.strip(QUOTES)
        return f"has quotes around it (docker --env-file keeps them): use {bare!r}"
    return ""


def json_strings(text: str) -> list[str]:
    """Return the strings of a JSON list, or nothing."""
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [str(item) for item in items] if isinstance(items, list) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _scope(audience: str) -> str:
    bare = audience.rstrip("/")
    if not bare.lower().endswith("/.default"):
        return ""
    return f"is a scope: use the App ID URI {bare[: -len('/.default')]!r}"


def _nothing(audience: str) -> str:
    return f"has no value in it. {IS_IT_SET}" if plain(audience) in _NOTHING else ""


def _several(audience: str) -> str:
    parts = [part for part in SEPARATORS.split(audience) if part]
    if sum(is_guid(plain(part)) or "://" in part for part in parts) > 1:
        return f"is several audiences in one string: use {parts}"
    return ""


def _placeholder(audience: str) -> str:
    bare = audience.strip("{}<>")
    if is_guid(bare) and bare != audience:
        return f"has brackets around it: use {bare!r}"
    if _PLACEHOLDER.search(audience):
        return "is a placeholder: put the API's client id (or App ID URI) in its place"
    return ""


def _other_thing(audience: str, tenants: frozenset[str]) -> str:
    if plain(audience) in tenants:
        return "is the tenant id: use the API's Application (client) ID"
    if plain(audience) in map(plain, GRAPH_AUDIENCES):
        return (
            "is Microsoft Graph, whose tokens only Graph can validate: use this API's client id, and let "
            "clients request its scopes"
        )
    if audience.lower().startswith(_ISSUERS):
        return "is the issuer, which signs the tokens: use the API's client id"
    return ""


def _malformed(audience: str) -> str:
    """Return what is wrong with the form of an audience (Microsoft: "Restrictions on identifier URIs")."""
    if any(character.isspace() or not character.isprintable() for character in audience):
        return "has a space in it, which an App ID URI cannot have"
    lower = audience.lower()
    if re.fullmatch(r"[0-9a-f]{32}", lower):
        groups = (lower[:8], lower[8:12], lower[12:16], lower[16:20], lower[20:])
        return f"lacks its hyphens: use {'-'.join(groups)!r}"
    if lower.startswith(("api:", "https:", "http:")):
        scheme, _, rest = audience.partition(":")
        right = f"{scheme.lower()}://{rest.lstrip('/')}"
        if right != audience and lower != right.lower():
            return f"is not a URI: use {right!r}"
        return "names 'api://' twice: name it once" if plain(audience).startswith("api:") else ""
    if ":" not in audience and not is_guid(audience):
        return "is neither a client id (a GUID) nor an App ID URI: use the API's client id"
    return ""
