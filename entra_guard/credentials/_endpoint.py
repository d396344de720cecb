"""A token endpoint: send one request to it, and read the token or the error in its response."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from entra_guard._common.http import STEPS_WORTH_RETRYING, exchange
from entra_guard.credentials._cache.token import AccessToken, UnreadableTokenError, read_token
from entra_guard.credentials._token_errors import error_from_fetch, error_from_response
from entra_guard.errors import FetchError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from entra_guard._common.http import Answer
    from entra_guard._common.lazy_client import LazyClient

LIMIT: Final = 256 * 1024
_OK: Final = 200
_SERVER_ERROR: Final = 500
_SECRET_FIELDS: Final = (
    "client_secret",
    "client_assertion",
    "assertion",
    "user_federated_identity_credential",
)


class TokenEndpoint:
    """Where tokens are requested, by POST of a form (RFC 6749 section 3.2). No other host is ever called.

    Args:
        url: The endpoint.
        client: Returns the HTTP client.
    """

    def __init__(self, url: str, client: LazyClient) -> None:
        self.url: Final = url
        self.client: Final = client

    def request_token(self, form: Mapping[str, str], clock: Callable[[], float]) -> AccessToken:
        """Request a token.

        Raises:
            TokenAcquisitionError: It was refused, or there was no response.
        """
        requested_at = clock()
        correlation_id = str(uuid.uuid4())
        headers = {"client-request-id": correlation_id}

        def post() -> Answer:
            return exchange(self.client(), "POST", self.url, limit=LIMIT, data=form, headers=headers)

        secrets = [form[name] for name in _SECRET_FIELDS if name in form]
        return token_from(post, requested_at, secrets=secrets, correlation_id=correlation_id)


def token_from(
    request: Callable[[], Answer],
    requested_at: float,
    *,
    secrets: Sequence[str],
    correlation_id: str = "",
    passing: Container[int] = (),
) -> AccessToken:
    """Send a request, a second time where that can help at once, and read the token in the response.

    Args:
        request: Sends it.
        requested_at: Seconds since the epoch.
        secrets: What is sent and must not be in any text.
        correlation_id: The id that Microsoft's logs have for the request.
        passing: More statuses that are temporary.

    Raises:
        TokenAcquisitionError: There is no token.
    """
    failed: FetchError
    try:
        answer = _send_twice(request)
        if answer.status != _OK:
            raise error_from_response(answer, secrets=secrets, correlation_id=correlation_id, passing=passing)
        return read_token(answer.document, requested_at)
    except FetchError as error:
        failed = error
    except UnreadableTokenError as error:
        raise TokenAcquisitionError(f"No token: {error}.", error="content", retryable=True) from None
    # Its cause is httpx's error, which holds the request, which holds the secret.
    failed.__cause__ = failed.__context__ = None
    raise error_from_fetch(failed, correlation_id=correlation_id) from failed


def _send_twice(request: Callable[[], Answer]) -> Answer:
    """Send again after a broken connection or a server error, unless the server said when to return."""
    try:
        answer = request()
    except FetchError as error:
        if error.step not in STEPS_WORTH_RETRYING or error.retry_after is not None:
            raise
        return request()
    if answer.status >= _SERVER_ERROR and "retry-after" not in answer.headers:
        return request()
    return answer
