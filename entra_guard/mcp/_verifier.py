"""A token verifier for those who configure the authentication of the MCP SDK or of fastmcp themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entra_guard._common.logs import get_logger
from entra_guard._common.mcp_identity import sdk_token
from entra_guard._web.adapter_arguments import check_guard
from entra_guard.errors import AccessError, KeysUnavailableError

if TYPE_CHECKING:
    from entra_guard._guard.combined_guard import CombinedGuard
    from entra_guard.guard import Guard

log = get_logger("entra_guard")


class GuardTokenVerifier:
    """A `TokenVerifier` of the MCP SDK that lets a guard decide.

    The SDK then binds sessions to the client, tenant and object. It has no reasons, and responds
    with `invalid_token` to each refusal; the guard's reason is logged. Use `protect` if that matters.

    Args:
        guard: The guard of the API.
        resource: The URL of the MCP endpoint, for `AuthSettings.validate_token_resource`.

    Raises:
        ConfigurationError: The guard is not one.

    Example:
        >>> server = MCPServer("tasks", token_verifier=GuardTokenVerifier(guard), auth=...)
    """

    def __init__(self, guard: Guard | CombinedGuard, *, resource: str | None = None) -> None:
        check_guard(guard)
        self._guard = guard
        self._resource = resource

    async def verify_token(self, token: str) -> Any:
        """Return the SDK's `AccessToken`, or None if the token is refused.

        Raises:
            KeysUnavailableError: The signing keys are unavailable: a 500, never `invalid_token`.
        """
        try:
            principal = await self._guard.averify(token)
        except KeysUnavailableError:
            token = ""  # this frame stays in the traceback
            raise
        except AccessError as error:
            log.warning("MCP token refused: %s", error.report())
            return None
        return sdk_token(principal, token, self._resource)
