"""Every error of entra_guard, and the HTTP response of each refusal.

    EntraGuardError
      ConfigurationError           a setting cannot work; raised when the object is built
      FetchError                   an HTTP exchange with the authority failed, and at which step
      TokenAcquisitionError        no token for an outbound call
      AccessError                  a request is refused
        MissingTokenError            401, bare challenge
        InvalidRequestError          400 invalid_request
        InvalidTokenError            401 invalid_token
        InsufficientAuthenticationError  401 insufficient_claims, or insufficient_user_authentication
        InsufficientPermissionError  403 insufficient_scope
        KeysUnavailableError         503, Retry-After

Responses follow RFC 6750 section 3 (challenges) and RFC 9457 (problem bodies).
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from entra_guard._escaping import escape, printable, shorten
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Sequence

Facts = Mapping[str, object]


class EntraGuardError(Exception):
    """Base of all errors of this package."""


class ConfigurationError(EntraGuardError, ValueError):
    """A setting cannot work. Raised when the object is built.

    Only what is known later is raised at a request: a route whose `@requires` checks nothing.

    Args:
        message: What is wrong, with the value, and what to do. A very long one is shortened in its middle.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shorten(message))


class FetchError(EntraGuardError):
    """An HTTP exchange with the authority failed.

    Attributes:
        step: Where it failed: "dns", "connect", "proxy", "tls", "timeout", "http" or "content".
        url: The URL that was requested.
        detail: What went wrong, in words.
        retry_after: Seconds that the server requires the client to wait, or None.
    """

    def __init__(self, step: str, url: str, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(escape(f"{step}: {detail} ({url})"))  # a server may have written parts of it
        self.step = step
        self.url = url
        self.detail = detail
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.step, self.url, self.detail), {"retry_after": self.retry_after})


class TokenAcquisitionError(EntraGuardError):
    """No token for an outbound call.

    Attributes:
        error: The OAuth error code ("invalid_client"), or a step of `FetchError` if no response arrived.
        codes: Entra's AADSTS numbers, as integers.
        correlation_id: The id that Microsoft's support needs.
        retryable: Whether the same request can succeed later.
        retry_after: Seconds that the server requires the client to wait, or None.
        claims: The claims challenge of the server, if it sent one.
        hint: What to change, and where; empty if unknown.
    """

    def __init__(
        self,
        message: str,
        *,
        error: str,
        codes: Sequence[int] = (),
        correlation_id: str | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        claims: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(shorten(f"{message} {hint}".rstrip()))
        self.error = error
        self.codes: tuple[int, ...] = tuple(codes)
        self.correlation_id = correlation_id
        self.retryable = retryable
        self.retry_after = retry_after
        self.claims = claims
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return (partial(type(self), error=self.error), self.args, self.__dict__)


class AccessError(EntraGuardError):
    """A request is refused; carries the reason, the HTTP response and the operator's report.

    `str()`, `repr()`, `args` and pickles carry the reason and the client's constant sentence only: other
    libraries send the text of an exception to clients. `report()` is for the operator's log.

    Args:
        reason: A name in `entra_guard.reasons.REASONS`.
        facts: What the operator may see (expected, found, kid, ...), or a function that returns it.
            The function runs only when the facts are read, so that a flood of refusals does not pay for
            them. Never a token or a person's name.
        scope: What the operation needs, space separated, for the challenge (RFC 6750 section 3).
        retry_after: Seconds until another try can help.
        claims: A claims challenge as JSON, for a client that declared 'cp1' (Microsoft: claims challenge).
        resource_metadata: URL of this API's protected resource metadata (RFC 9728 section 5.1).

    Example:
        >>> error = InvalidTokenError("expired", {"expired_for_seconds": 90})
        >>> str(error)
        'expired: The token has expired.'
        >>> error.headers["www-authenticate"]
        'Bearer error="invalid_token", error_description="The token has expired."'
    """

    oauth_error: ClassVar[str] = ""
    scope: str = ""
    retry_after: float | None = None
    claims: str = ""
    resource_metadata: str = ""
    reasons_url: str = ""
    authorization_uri: str = ""
    """Where the client of a claims challenge can sign the user in again (Microsoft: claims challenge)."""
    request_id: str = ""
    """The id of the refused request, for its response: set when the refusal is logged."""
    verified_client: str = ""
    """The client application of the token, if the token was verified."""

    def __init__(
        self,
        reason: str,
        facts: Facts | Callable[[], Facts] | None = None,
        *,
        scope: str = "",
        retry_after: float | None = None,
        claims: str = "",
        resource_metadata: str = "",
    ) -> None:
        self._reason = REASONS[reason]
        self.args: tuple[Any, ...] = self._reason.args
        self._facts = facts
        if scope or claims or resource_metadata or retry_after is not None:
            self.scope = scope
            self.retry_after = retry_after
            self.claims = claims
            self.resource_metadata = resource_metadata

    @property
    def facts(self) -> dict[str, object]:
        """What the operator may see: what was expected and found, the key's kid, the app id, ..."""
        facts = self._facts() if callable(self._facts) else self._facts
        return dict(facts or {})

    @property
    def reason(self) -> str:
        """The stable name of the reason, such as 'wrong_audience'."""
        return self._reason.name

    @property
    def code(self) -> str:
        """The same as `reason`; in Flask and Quart the HTTP status, as in every HTTPException of werkzeug."""
        return self._reason.name

    @property
    def status(self) -> int:
        """The HTTP status of the response."""
        return self._reason.status

    @property
    def challenge(self) -> str:
        """The value of WWW-Authenticate; empty where the response has none."""
        parameters = self._challenge_parameters()
        words = ", ".join(f"{name}={_quoted(value)}" for name, value in parameters.items() if value)
        return f"Bearer {words}".rstrip()

    def _challenge_parameters(self) -> dict[str, str]:
        return {
            "authorization_uri": self.authorization_uri,
            "error": "insufficient_claims" if self.claims else self.oauth_error,
            "error_description": self._reason.client if self.oauth_error else "",
            "claims": b64encode(self.claims.encode()).decode(),
            "scope": self.scope,
            "resource_metadata": self.resource_metadata,
        }

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the response, names in lower case."""
        headers = {"content-type": "application/problem+json", "cache-control": "no-store"}
        if self.challenge:
            headers["www-authenticate"] = self.challenge
        if self.retry_after is not None:
            headers["retry-after"] = str(max(1, round(self.retry_after)))
        if self.request_id:
            headers["x-request-id"] = self.request_id
        return headers

    @property
    def body(self) -> bytes:
        """The body of the response: a problem in JSON (RFC 9457), always the same but for `request_id`."""
        problem = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self._reason.client,
            "reason": self.reason,
        }
        return json.dumps(problem | ({"request_id": self.request_id} if self.request_id else {})).encode()

    def for_client(self, app_id: str) -> AccessError:
        """Return this error, with the client application of a token that was verified."""
        self.verified_client = app_id
        return self

    def report(self) -> str:
        """Return the operator's text on one line: what happened, the facts, and what to change.

        For logs only: it names allow-lists and claim values, which a client must not learn. With
        `Guard(reasons_url=...)` it ends with a link to the reason's section.

        Example:
            >>> InvalidTokenError("expired", {"expired_for_seconds": 90}).report()
            "expired: The token has expired. (expired_for_seconds=90) The client must request ..."
        """
        shown = self.facts | ({"request_id": self.request_id} if self.request_id else {})
        facts = ", ".join(
            f"{escape(name)}={printable(value)}" for name, value in shown.items() if value or value == 0
        )
        parts = [f"{self.reason}: {self._reason.explanation}", facts and f"({facts})", self._reason.fix]
        parts += [f"See {self.reasons_url}#{self.reason}"] if self.reasons_url else []
        return " ".join(filter(None, parts))

    def __copy__(self) -> AccessError:
        """Return a copy with the facts, as it stays in this process."""
        # Without the framework's class.
        plain = cast("type[AccessError]", getattr(self, "original", type(self)))
        error: AccessError = Exception.__new__(plain)
        error.args = self.args
        vars(error).update(vars(self))
        return error

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle without the facts: a pickle leaves this process."""
        more = {"scope": self.scope, "retry_after": self.retry_after, "claims": self.claims}
        more["authorization_uri"] = self.authorization_uri
        return (type(self), (self.reason,), more | {"resource_metadata": self.resource_metadata})


class MissingTokenError(AccessError):
    """The request has no token: 401 and a bare challenge (RFC 6750 section 3.1)."""


class InvalidRequestError(AccessError):
    """The Authorization header is not one bearer token: 400."""

    oauth_error = "invalid_request"


class InvalidTokenError(AccessError):
    """The token is not valid for this API: 401."""

    oauth_error = "invalid_token"


class InsufficientAuthenticationError(AccessError):
    """The token is valid, but the user's sign-in is too weak or too old: 401.

    Args:
        reason: A name in `entra_guard.reasons.REASONS`.
        facts: What the operator may see.
        scope: What the operation needs, space separated.
        claims: For Entra: the claims challenge as JSON; empty if the client cannot take one.
        authorization_uri: For Entra: where the client can sign the user in again.
        acr_values: For other issuers: the authentication context to request (RFC 9470 section 3).
        max_age: For other issuers: seconds that may have passed since the sign-in (RFC 9470 section 3).

    Example:
        >>> InsufficientAuthenticationError("sign_in_too_old", max_age=300).challenge
        'Bearer error="insufficient_user_authentication", error_description="...", max_age="300"'
    """

    acr_values: str = ""
    max_age: float | None = None

    def __init__(
        self,
        reason: str,
        facts: Facts | Callable[[], Facts] | None = None,
        *,
        scope: str = "",
        claims: str = "",
        authorization_uri: str = "",
        acr_values: str = "",
        max_age: float | None = None,
    ) -> None:
        super().__init__(reason, facts, scope=scope, claims=claims)
        self.authorization_uri = authorization_uri
        self.acr_values = acr_values
        self.max_age = max_age

    def _challenge_parameters(self) -> dict[str, str]:
        is_rfc_9470 = self.acr_values or self.max_age is not None
        error = "insufficient_user_authentication" if is_rfc_9470 else "insufficient_claims"
        return {
            **super()._challenge_parameters(),
            "error": error,
            "error_description": self._reason.client,
            "acr_values": self.acr_values,
            "max_age": "" if self.max_age is None else f"{self.max_age:.0f}",
        }

    def __reduce__(self) -> tuple[object, ...]:
        kind, arguments, state = cast("tuple[object, object, dict[str, object]]", super().__reduce__())
        return kind, arguments, state | {"acr_values": self.acr_values, "max_age": self.max_age}


class InsufficientPermissionError(AccessError):
    """The token is valid, but lacks a permission: 403."""

    oauth_error = "insufficient_scope"


class KeysUnavailableError(AccessError):
    """The token cannot be validated, because no signing keys are available: 503 without a challenge."""

    @property
    def challenge(self) -> str:
        """Empty: an outage is not an invalid token."""
        return ""


_BY_STATUS: dict[int, type[AccessError]] = {
    400: InvalidRequestError,
    401: InvalidTokenError,
    403: InsufficientPermissionError,
    503: KeysUnavailableError,
}


_CLASSES: Final = {code: _BY_STATUS[reason.status] for code, reason in REASONS.items()} | {
    "missing_token": MissingTokenError,
    "auth_context_required": InsufficientAuthenticationError,
    "sign_in_too_old": InsufficientAuthenticationError,
}


def refusal(reason: str, facts: Facts | Callable[[], Facts] | None = None, *, scope: str = "") -> AccessError:
    """Return a new error of the class that belongs to a reason."""
    if not scope:  # naming an argument costs a flood of refusals a tenth
        return _CLASSES[reason](reason, facts)
    return _CLASSES[reason](reason, facts, scope=scope)


def _quoted(value: str) -> str:
    """Write a quoted-string (RFC 9110 section 5.6.4)."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
