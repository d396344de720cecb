"""The token endpoint, v1.0 and v2.0: from a form to the grant it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._aadsts import EntraError
from ._app_grants import client_credentials
from ._token_requests import TokenRequest, tenant_of
from ._user_grants import authorization_code, device_code, jwt_bearer, refresh_token
from ._wire import Request, Response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._world import World

UNCACHED: Final = (("Cache-Control", "no-store, no-cache"), ("Pragma", "no-cache"))

GRANTS: Final[dict[str, Callable[[TokenRequest], dict[str, Any]]]] = {
    "client_credentials": client_credentials,
    "authorization_code": authorization_code,
    "refresh_token": refresh_token,
    "device_code": device_code,
    "urn:ietf:params:oauth:grant-type:device_code": device_code,
    "urn:ietf:params:oauth:grant-type:jwt-bearer": jwt_bearer,
}


def answer_token_request(world: World, request: Request, segment: str, version: int) -> Response:
    """Answer a POST to the token endpoint.

    Raises:
        EntraError: It is refused.
    """
    form = request.form()
    asked = TokenRequest(world, request, segment, tenant_of(world, segment, form), version, form)
    name = asked.needed("grant_type")
    grant = GRANTS.get(name)
    if grant is None:
        raise EntraError(70003, grant=name)
    return json_response(grant(asked), 200, *UNCACHED)
