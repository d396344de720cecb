"""Check that the URL of an MCP endpoint is an App ID URI of the API. Pure.

MCP clients send the endpoint's URL as `resource` (RFC 8707). Entra compares it with the App ID URIs exactly,
and refuses any other with AADSTS9010010 (Microsoft: "Secure an MCP server with Microsoft Entra ID").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard._common.audiences import plain
from entra_guard._common.guid import is_guid
from entra_guard._common.mcp_resource import resource_problem, url_audiences
from entra_guard.cli.doctor._commands import app_command, command
from entra_guard.cli.doctor._finding import Check, Finding, failure, ok, skipped

if TYPE_CHECKING:
    from entra_guard.cli.doctor._facts import Facts, Registration

_PORTAL: Final = (
    "Portal: App registrations > the API > Expose an API > Application ID URI: exactly this URL, with a "
    "slash at its end only if the URL has one."
)


def _mcp_resource(facts: Facts) -> Finding | None:
    policy = facts.settings.policy
    url = facts.mcp_url or (facts.app.mcp_url if facts.app else "")
    if not url or policy is None:
        return None
    if facts.graph is not None and facts.graph.api is not None:
        return _registered(facts, facts.graph.api, url)
    uris = url_audiences(policy.audiences)
    if not uris:
        return skipped("the App ID URIs are not known: use --graph, or add the URL to the audience")
    if url in uris:
        return ok(f"{url} is in the audience; --graph also reads the registration")
    app_id = next((plain(name) for name in policy.audiences if is_guid(plain(name))), "<client id>")
    audience = " ".join(sorted({app_id, *uris, url}))
    return failure(
        f"{url} is not among the App ID URIs of the audience ({', '.join(uris)})"
        f"{resource_problem(url, uris)}",
        f"export ENTRA_GUARD_AUDIENCE={command(audience)}",
        app_command(facts, "update", app_id, "--app-id-uri", url),
        _PORTAL,
    )


def _registered(facts: Facts, api: Registration, url: str) -> Finding:
    """Compare the URL with the App ID URIs of the registration."""
    uris = [str(uri) for uri in api.application.get("identifierUris") or ()]
    if url in uris:
        return ok(f"{url} is an App ID URI of the registration")
    app_id = str(api.application.get("appId"))
    az = ("az", "ad", "app", "update", "--id", app_id, "--identifier-uris")
    listed = ", ".join(uris) or "none"
    return failure(
        f"{url} is not among the App ID URIs of the registration ({listed}){resource_problem(url, uris)}",
        app_command(facts, "update", app_id, "--app-id-uri", url),
        command(*az, *uris, url),
        _PORTAL,
    )


CHECKS: Final = (Check("settings", "MCP resource", _mcp_resource),)
