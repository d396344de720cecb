"""A token endpoint: one request to it, answered or explained. Keeps nothing but its HTTP client."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from entra_guard._common.http import exchange
from entra_guard.credentials._cache.token import AccessToken, UnreadableTokenError, read_token
from entra_guard.credentials._token_errors import refused, unanswered
from entra_guard.errors import FetchError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from entra_guard._common.http import Answer
    from entra_guard._common.lazy_client import LazyClient

LIMIT: Final = 256 * 1024
_WORTH_RETRYING: Final = frozenset({"connect", "http"})
_OK: Final = 200
_SERVER_ERROR: Final = 500
_SECRET_FIELDS: Final = ("client_secret", "client_assertion", "assertion")


class TokenEndpoint:
    """Where tokens are asked for, by POST of a form (RFC 6749 section 3.2). No other host is ever called.

    Args:
        url: The endpoint.
        client: Gives the HTTP client.
    """

    def __init__(self, url: str, client: LazyClient) -> None:
        self.url: Final = url
        self.client: Final = client

    def ask(self, form: Mapping[str, str], clock: Callable[[], float]) -> AccessToken:
        """Ask for a token.

        Raises:
            TokenAcquisitionError: It was refused, or nobody answered.
        """
        asked_at = clock()
        correlation_id = str(uuid.uuid4())
        headers = {"client-request-id": correlation_id}

        def post() -> Answer:
            return exchange(self.client(), "POST", self.url, limit=LIMIT, data=form, headers=headers)

        secrets = [form[name] for name in _SECRET_FIELDS if name in form]
        return token_from(post, asked_at, secrets=secrets, correlation_id=correlation_id)


def token_from(
    request: Callable[[], Answer],
    asked_at: float,
    *,
    secrets: Sequence[str],
    correlation_id: str = "",
    passing: Container[int] = (),
) -> AccessToken:
    """Send a request, once more where that can help at once, and read the token in its answer.

    Args:
        request: Sends it.
        asked_at: Seconds since the epoch.
        secrets: What is sent and must be in no text.
        correlation_id: What the request is known by.
        passing: More statuses that may pass by themselves.

    Raises:
        TokenAcquisitionError: There was none.
    """
    failed: FetchError
    try:
        answer = _tried_twice(request)
        if answer.status != _OK:
            raise refused(answer, secrets=secrets, correlation_id=correlation_id, passing=passing)
        return read_token(answer.document, asked_at)
    except FetchError as error:
        failed = error
    except UnreadableTokenError as error:
        raise TokenAcquisitionError(f"No token: {error}.", error="content", retryable=True) from None
    # Before it comes httpx's error, which holds the request, which holds the secret.
    failed.__cause__ = failed.__context__ = None
    raise unanswered(failed, correlation_id=correlation_id) from failed


def _tried_twice(request: Callable[[], Answer]) -> Answer:
    """A connection that broke and a server's mishap get one more try; one that asks for time gets it."""
    try:
        answer = request()
    except FetchError as error:
        if error.step not in _WORTH_RETRYING or error.retry_after is not None:
            raise
        return request()
    if answer.status >= _SERVER_ERROR and "retry-after" not in answer.headers:
        return request()
    return answer
