"""Keep the caller's token from an MCP server: `on_behalf_of` finds it, and nothing else.

fastmcp writes all headers of a request that starts a background task to Redis, and its proxies can send them
to the next server. The MCP specification forbids token passthrough ("Security best practices").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard._web.asgi_scope import authorization
from entra_guard._web.authenticator import bearer_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Scope

_HIDDEN: Final = "entra_guard.authorization"


def hide_token(scope: Scope) -> None:
    """Move the Authorization header of an authenticated request to where its server does not look."""
    scope[_HIDDEN] = authorization(scope)
    scope["headers"] = [header for header in scope["headers"] if header[0] != b"authorization"]


def token_of(request: Mapping[str, Any]) -> str:
    """Return the token of an authenticated request."""
    found: list[bytes] = request[_HIDDEN] if _HIDDEN in request else authorization(request)
    return bearer_token(found).decode()
