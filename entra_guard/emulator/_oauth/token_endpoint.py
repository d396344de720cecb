"""The token endpoint, v1.0 and v2.0: from a form to the grant it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.messages import Request, Response, json_response
from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._oauth.app_grants import client_credentials
from entra_guard.emulator._oauth.token_request import TokenRequest, tenant_of
from entra_guard.emulator._oauth.user_grants import authorization_code, device_code, jwt_bearer, refresh_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.emulator._store.store import Store

UNCACHED: Final = (("Cache-Control", "no-store, no-cache"), ("Pragma", "no-cache"))

GRANTS: Final[dict[str, Callable[[TokenRequest], dict[str, Any]]]] = {
    "client_credentials": client_credentials,
    "authorization_code": authorization_code,
    "refresh_token": refresh_token,
    "device_code": device_code,
    "urn:ietf:params:oauth:grant-type:device_code": device_code,
    "urn:ietf:params:oauth:grant-type:jwt-bearer": jwt_bearer,
}


def answer_token_request(store: Store, request: Request, segment: str, version: int) -> Response:
    """Answer a POST to the token endpoint.

    Raises:
        EntraError: It is refused.
    """
    form = request.form()
    asked = TokenRequest(store, request, segment, tenant_of(store, segment, form), version, form)
    name = asked.needed("grant_type")
    grant = GRANTS.get(name)
    if grant is None:
        raise EntraError(70003, grant=name)
    return json_response(grant(asked), 200, *UNCACHED)
