"""The token endpoint, v1.0 and v2.0: select the grant and run it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.messages import Request, Response, json_response
from entra_guard.emulator._oauth.app_grants import client_credentials
from entra_guard.emulator._oauth.errors import UNCACHED, EntraError
from entra_guard.emulator._oauth.token_request import TokenRequest, tenant_of
from entra_guard.emulator._oauth.user_grants import (
    authorization_code,
    device_code,
    jwt_bearer,
    refresh_token,
    user_fic,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.emulator._store.store import Store

GRANTS: Final[dict[str, Callable[[TokenRequest], dict[str, Any]]]] = {
    "client_credentials": client_credentials,
    "authorization_code": authorization_code,
    "refresh_token": refresh_token,
    "device_code": device_code,
    "urn:ietf:params:oauth:grant-type:device_code": device_code,
    "urn:ietf:params:oauth:grant-type:jwt-bearer": jwt_bearer,
    "user_fic": user_fic,
}


def token_response(store: Store, request: Request, segment: str, version: int) -> Response:
    """Handle a POST to the token endpoint.

    Raises:
        EntraError: The request is refused.
    """
    form = request.form()
    tenant = tenant_of(store, segment, form)
    token_request = TokenRequest(store, request, segment, tenant, version, form)
    name = token_request.required("grant_type")
    grant = GRANTS.get(name)
    if grant is None:
        raise EntraError(70003, grant=name)
    return json_response(grant(token_request), 200, *UNCACHED)
