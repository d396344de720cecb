"""Call the next API for the user whose token came with an MCP message."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from entra_guard._common.boundary import public
from entra_guard._common.mcp_identity import is_stand_in
from entra_guard.credentials import OnBehalfOfCredential
from entra_guard.errors import ConfigurationError, TokenAcquisitionError, refusal
from entra_guard.mcp._hidden_token import token_of
from entra_guard.mcp._tool_errors import as_tool_error, error_for_client
from entra_guard.principal import NoPrincipalError, as_http_error, current_request, mcp_request

if TYPE_CHECKING:
    from entra_guard.credentials._azure import AsyncCredential
    from entra_guard.credentials._cache.token import AccessToken
    from entra_guard.credentials._credential import Credential
    from entra_guard.errors import AccessError


@public
def on_behalf_of(credential: Credential | AsyncCredential) -> OnBehalfOfCredential:
    """Return a credential that acts for the user who calls the tool that runs.

    The token of the message is exchanged; the tool does not see it. This works behind `protect` and
    `GuardMiddleware`, and with the SDK's or fastmcp's own authentication (`GuardTokenVerifier`,
    `guard_auth_provider`).

    If no token can be acquired, the error's text is a constant sentence, as the server may send it to the
    client. The reason is logged, and the error's attributes have it for the tool.

    Args:
        credential: The credential of this API's own application, or an `AgentCredential` of this API as a
            blueprint.

    Raises:
        NoPrincipalError: This is not called while a message of an authenticated caller is handled.
        InsufficientPermissionError: The caller is an application, which has no user.
        ConfigurationError: The credential does not prove an application; the log has the reason.

    Example:
        >>> @server.tool()
        ... async def my_name() -> str:
        ...     token = await on_behalf_of(credential).aget_token("https://graph.microsoft.com/User.Read")
    """
    token = _token_of_caller()
    try:
        return _CallerCredential(credential, token)
    except ConfigurationError as error:
        shown = error_for_client(error)
    raise shown


class _CallerCredential(OnBehalfOfCredential):
    """Acts for the caller of a message. An MCP server may send the text of its errors to that caller."""

    @public
    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        try:
            return super().get_token(*scopes, **options)
        except (TokenAcquisitionError, ConfigurationError) as error:
            shown = error_for_client(error)
        raise shown

    @public
    async def aget_token(self, *scopes: str, **options: Any) -> AccessToken:
        try:
            return await super().aget_token(*scopes, **options)
        except (TokenAcquisitionError, ConfigurationError) as error:
            shown = error_for_client(error)
        raise shown


_CallerCredential.__name__ = OnBehalfOfCredential.__name__  # as logs and metrics name it


def _token_of_caller() -> str:
    found = current_request()
    if found is None:
        return _token_of_sdk()
    principal, request = found
    if principal.is_app:
        raise _no_user(principal.app_id)
    return token_of(request)


def _no_user(app_id: str) -> AccessError:
    return as_tool_error(as_http_error(refusal("user_token_required", {"app_id": app_id})))


def _token_of_sdk() -> str:
    """Return the token that the SDK's own authentication has verified for the message that is handled.

    Version 1 of the SDK handles a message in the context of the request that opened the session: there only
    the message's own request has its caller. Version 2 uses the context of the message's request.
    """
    token: Any = None
    module: Any = sys.modules.get("mcp.server.auth.middleware.auth_context")
    if hasattr(sys.modules.get("mcp.server.lowlevel.server"), "request_ctx"):
        scope: Any = getattr(mcp_request(), "scope", None) or {}
        token = getattr(scope.get("user"), "access_token", None)
    elif module is not None:
        token = module.get_access_token()
    if token is None or is_stand_in(token):
        raise NoPrincipalError("on_behalf_of works in a guarded request: there is no token here to exchange")
    claims: dict[str, Any] = token.claims or {}
    if not claims.get("scp"):
        raise _no_user(token.client_id)
    return str(token.token)
