"""An authentication provider for those who configure the authentication of fastmcp themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from entra_guard._common.permission_names import requested_scopes
from entra_guard._web.adapter_arguments import check_guard
from entra_guard.mcp._metadata import ResourceMetadata
from entra_guard.mcp._verifier import GuardTokenVerifier

if TYPE_CHECKING:
    from collections.abc import Iterable

    from entra_guard._guard.combined_guard import CombinedGuard
    from entra_guard.guard import Guard


def guard_auth_provider(
    guard: Guard | CombinedGuard, *, url: str, scopes: Iterable[str] = (), name: str = ""
) -> Any:
    """Return fastmcp's `RemoteAuthProvider` that lets a guard decide.

    As with `GuardTokenVerifier`, fastmcp responds with `invalid_token` to each refusal. Use `protect` if that
    matters, or if applications call: they have no scopes.

    Args:
        guard: The guard of the API.
        url: The URL of the server, as clients use it, without the path of the MCP endpoint.
        scopes: Scopes that each token must have: 'access_as_user', or 'api://.../access_as_user'.
        name: The server's name in the metadata.

    Raises:
        ConfigurationError: The URL is not one that clients can use.

    Example:
        >>> auth = guard_auth_provider(guard, url="https://tasks.example")
        >>> server = FastMCP("tasks", auth=auth)
    """
    from fastmcp.server.auth import RemoteAuthProvider, TokenVerifier  # noqa: PLC0415
    from fastmcp.server.auth.auth import AccessToken  # noqa: PLC0415
    from pydantic import AnyHttpUrl  # noqa: PLC0415

    check_guard(guard)
    names = requested_scopes(scopes)
    metadata = ResourceMetadata(guard, url if urlsplit(url).path else f"{url}/", names, name)
    full = {scope.rpartition("/")[2]: scope for scope in metadata.scopes}
    inner = GuardTokenVerifier(guard)

    async def verify_token(_self: object, token: str) -> Any:
        """Return fastmcp's `AccessToken` with full scope names, or None if the token is refused."""
        found = await inner.verify_token(token)
        if found is None:
            return None
        values: dict[str, Any] = found.model_dump()
        values["scopes"] = [full.get(scope, scope) for scope in found.scopes]
        return AccessToken(**values)

    kind: Any = type("FastMCPGuard", (TokenVerifier,), {"verify_token": verify_token})
    servers = [AnyHttpUrl(issuer) for issuer in metadata.issuers()]
    return RemoteAuthProvider(
        token_verifier=kind(required_scopes=[*metadata.scopes]),
        authorization_servers=servers,
        base_url=url,
        resource_name=name or None,
    )
