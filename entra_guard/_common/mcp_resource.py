"""The rule of Entra about the `resource` that MCP clients send. Pure.

MCP clients send the URL of the MCP endpoint as `resource` (RFC 8707). Entra compares it with the App ID URIs
of the API exactly, and refuses any other with AADSTS9010010 (Microsoft: "Secure an MCP server with Microsoft
Entra ID").
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from entra_guard._common.audiences import plain

if TYPE_CHECKING:
    from collections.abc import Iterable


def url_audiences(audiences: Iterable[str]) -> list[str]:
    """Return the App ID URIs among audiences that can be the URL of an MCP endpoint, sorted."""
    return sorted(uri for uri in audiences if urlsplit(uri).scheme in {"https", "http"})


def resource_problem(url: str, app_id_uris: Iterable[str]) -> str:
    """Return why Entra refuses a URL as `resource`, or ''.

    Args:
        url: The URL of the MCP endpoint, as clients use it.
        app_id_uris: The App ID URIs of the API's registration.

    Example:
        >>> resource_problem("https://tasks.example/mcp", ["https://tasks.example/mcp/"]).split(".")[1]
        'example/mcp/ differs in the slash at its end'
    """
    uris = [*app_id_uris]
    if url in uris:
        return ""
    near = next((uri for uri in uris if plain(uri) == plain(url)), "")
    differs = {
        "the slash at its end": near.endswith("/") != url.endswith("/"),
        "letter case": near.rstrip("/") != url.rstrip("/"),
    }
    names = " and ".join(name for name, is_different in differs.items() if is_different)
    why = f": {near} differs in {names}" if near else ""
    return f"{why}. MCP clients that send it get AADSTS9010010"
