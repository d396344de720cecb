"""Call the next API for the user whose token came with an MCP message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard._common.boundary import public
from entra_guard._web.authenticator import bearer_token
from entra_guard.credentials import OnBehalfOfCredential
from entra_guard.errors import refusal
from entra_guard.principal import NoPrincipalError, as_http_error, current_request

if TYPE_CHECKING:
    from entra_guard.credentials._azure import AsyncCredential
    from entra_guard.credentials._credential import Credential


@public
def on_behalf_of(credential: Credential | AsyncCredential) -> OnBehalfOfCredential:
    """Return a credential that acts for the user who calls the tool that runs.

    The token of the message is exchanged; the tool does not see it.

    Args:
        credential: The credential of this API's own application.

    Raises:
        NoPrincipalError: This is not called in a guarded request.
        InsufficientPermissionError: The caller is an application, which has no user.

    Example:
        >>> @server.tool()  # doctest: +SKIP
        ... async def my_name() -> str:
        ...     token = await on_behalf_of(credential).aget_token("https://graph.microsoft.com/User.Read")
    """
    found = current_request()
    if found is None:
        raise NoPrincipalError("on_behalf_of works in a guarded request: there is no token here to exchange")
    principal, request = found
    if principal.is_app:
        raise as_http_error(refusal("user_token_required", {"app_id": principal.app_id}))
    values = [value for name, value in request.get("headers", ()) if name == b"authorization"]
    return OnBehalfOfCredential(credential, bearer_token(values).decode())
