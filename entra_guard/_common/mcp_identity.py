"""Let the MCP SDK know the caller of a message, as its own authentication does. Imports no MCP package.

The SDK seals the state of multi-round-trip requests (`requestState`) for the caller that it knows, and
fastmcp keeps the state of its sessions and cached responses by it. For a caller that they do not know, all
callers are one: the state of one could be used by another.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_CONTEXT: Final = "mcp.server.auth.middleware.auth_context"
_INSTEAD: Final = "guarded-by-entra_guard-"


class SdkUser:
    """Is in the place of the SDK's `AuthenticatedUser`: the caller of the message that is handled.

    One object serves all requests, and outside of a guarded request it has no token.

    Args:
        caller: Returns the current `Principal`, None outside of a guarded request.
    """

    def __init__(self, caller: Callable[[], Any]) -> None:
        self._caller = caller

    @property
    def access_token(self) -> Any:
        """The SDK's `AccessToken` of the caller, with a digest in place of the token."""
        principal = self._caller()
        if principal is None:
            return None
        return sdk_token(principal, _INSTEAD + sha256(principal.payload).hexdigest())

    def bind(self) -> None:
        """Make this the SDK's user in the current context, if the SDK's authentication is loaded."""
        module = sys.modules.get(_CONTEXT)
        variable = None if module is None else getattr(module, "auth_context_var", None)
        if variable is not None and variable.get() is not self:
            variable.set(self)


def is_stand_in(access_token: Any) -> bool:
    """Return whether an SDK's `AccessToken` has a digest in place of the token."""
    return str(access_token.token).startswith(_INSTEAD)


def sdk_token(principal: Any, token: str, resource: str | None = None) -> Any:
    """Return the SDK's `AccessToken` of a caller.

    Args:
        principal: The caller, a `Principal`.
        token: Its token, or what is in the place of it.
        resource: The URL of the MCP endpoint that the token is for.
    """
    from mcp.server.auth.provider import AccessToken  # noqa: PLC0415

    issuer = principal.tenant_id or str(principal.claims.get("iss") or "")
    return AccessToken(
        token=token,
        client_id=principal.app_id,
        scopes=[*principal.scopes],
        expires_at=int(principal.expires_at),
        resource=resource,
        subject=principal.object_id or principal.subject,
        claims=principal.claims | {"iss": issuer},
    )
