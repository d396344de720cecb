"""Protect an MCP server with Microsoft Entra ID: one line for the MCP SDK's servers and for FastMCP's.

    from entra_guard.mcp import protect

    app = protect(server, guard, url="https://tasks.example/mcp", scopes=["access_as_user"])

Sources: MCP specification 2026-07-28, "Authorization"; RFC 9728; RFC 6750 section 3.
"""

from __future__ import annotations

from entra_guard.mcp._fastmcp import guard_auth_provider
from entra_guard.mcp._on_behalf_of import on_behalf_of
from entra_guard.mcp._protect import protect
from entra_guard.mcp._verifier import GuardTokenVerifier

__all__ = ["GuardTokenVerifier", "guard_auth_provider", "on_behalf_of", "protect"]
