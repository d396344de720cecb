"""Every error of entra_guard, and the HTTP answer that each refusal gives.

    EntraGuardError
      ConfigurationError           what was built cannot work; raised when it is built
      FetchError                   an HTTP exchange with the authority failed, and at which step
      TokenAcquisitionError        no token for an outbound call
      AccessError                  a request that must not pass
        MissingTokenError            401, bare challenge
        InvalidRequestError          400 invalid_request
        InvalidTokenError            401 invalid_token
        InsufficientPermissionError  403 insufficient_scope
        KeysUnavailableError         503, Retry-After

Answers follow RFC 6750 section 3 (challenges) and RFC 9457 (problem bodies).
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Sequence

Facts = Mapping[str, object]


class EntraGuardError(Exception):
    """Base of all errors of this package."""


class ConfigurationError(EntraGuardError, ValueError):
    """What was asked for cannot work: raised when the object is built, never at the first request."""


class FetchError(EntraGuardError):
    """An HTTP exchange with the authority failed.

    Attributes:
        step: Where it failed: "dns", "connect", "proxy", "tls", "timeout", "http" or "content".
        url: What was asked for.
        detail: What went wrong, in words.
        retry_after: Seconds the server asked to wait, or None.
    """

    def __init__(self, step: str, url: str, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{step}: {detail} ({url})")
        self.step = step
        self.url = url
        self.detail = detail
        self.retry_after = retry_after


class TokenAcquisitionError(EntraGuardError):
    """No token could be had for an outbound call.

    Attributes:
        error: The OAuth error code ("invalid_client"), or a step of `FetchError` when nobody answered.
        codes: Entra's AADSTS numbers, as integers.
        correlation_id: What Microsoft's support asks for.
        retryable: Whether asking again later, unchanged, can help.
        retry_after: Seconds the server asked to wait, or None.
        claims: The claims challenge to answer, if the server sent one.
        hint: What to change, and where, in plain words; empty if unknown.
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
        super().__init__(f"{message} {hint}".rstrip())
        self.error = error
        self.codes = tuple(codes)
        self.correlation_id = correlation_id
        self.retryable = retryable
        self.retry_after = retry_after
        self.claims = claims
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return (partial(type(self), error=self.error), self.args, self.__dict__)


class AccessError(EntraGuardError):
    """A request that must not pass: why, and the answer to give.

    Args:
        reason: A name in `entra_guard.reasons.REASONS`.
        facts: What the operator may see (expected, found, kid, ...), or a function that tells it
            when asked, so that a flood of refusals does not pay for words nobody reads.
            Never a token or a person's name.
        scope: What the operation needs, space separated, for the challenge (RFC 6750 section 3).
        retry_after: Seconds until another try can help.
        claims: A claims challenge as JSON, for a client that declared 'cp1' (Microsoft: claims challenge).
        resource_metadata: URL of this API's protected resource metadata (RFC 9728 section 5.1).

    Example:
        >>> InvalidTokenError("expired", {"expired_ago": 90}).headers["www-authenticate"]
        'Bearer error="invalid_token", error_description="The token has expired."'
    """

    oauth_error: ClassVar[str] = ""
    scope = ""
    retry_after: float | None = None
    claims = ""
    resource_metadata = ""

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
        self.args = (reason,)
        self._reason = REASONS[reason]
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
        """Return the stable name of the reason, such as 'wrong_audience'."""
        return self._reason.name

    @property
    def code(self) -> str:
        """Return `reason`; in Flask and Quart the HTTP status, as every werkzeug HTTPException has it."""
        return self._reason.name

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return self._reason.status

    @property
    def challenge(self) -> str:
        """The value of WWW-Authenticate; empty where none belongs."""
        parameters = {
            "error": "insufficient_claims" if self.claims else self.oauth_error,
            "error_description": self._reason.client if self.oauth_error else "",
            "claims": b64encode(self.claims.encode()).decode(),
            "scope": self.scope,
            "resource_metadata": self.resource_metadata,
        }
        words = ", ".join(f"{name}={_quoted(value)}" for name, value in parameters.items() if value)
        return f"Bearer {words}".rstrip()

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer, names in lower case."""
        headers = {"content-type": "application/problem+json", "cache-control": "no-store"}
        if self.challenge:
            headers["www-authenticate"] = self.challenge
        if self.retry_after is not None:
            headers["retry-after"] = str(max(1, round(self.retry_after)))
        return headers

    @property
    def body(self) -> bytes:
        """The answer's body: a problem in JSON (RFC 9457), the same for all clients."""
        problem = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self._reason.client,
            "reason": self.reason,
        }
        return json.dumps(problem).encode()

    def __str__(self) -> str:
        facts = ", ".join(
            f"{name}={printable(value)}" for name, value in self.facts.items() if value or value == 0
        )
        between = f" ({facts})" if facts else ""
        return f"{self.reason}: {self._reason.explanation}{between} {self._reason.fix}"

    def __reduce__(self) -> tuple[object, ...]:
        more = {"scope": self.scope, "retry_after": self.retry_after, "claims": self.claims}
        return (type(self), (self.reason, self.facts), more | {"resource_metadata": self.resource_metadata})


class MissingTokenError(AccessError):
    """The request has no token: 401 and a bare challenge (RFC 6750 section 3.1)."""


class InvalidRequestError(AccessError):
    """The Authorization header is not one bearer token: 400."""

    oauth_error = "invalid_request"


class InvalidTokenError(AccessError):
    """The token is not one that this API accepts: 401."""

    oauth_error = "invalid_token"


class InsufficientPermissionError(AccessError):
    """The token is good, and does not permit this: 403."""

    oauth_error = "insufficient_scope"


class KeysUnavailableError(AccessError):
    """The token could not be judged, as no keys are at hand: 503, never a word about the token."""

    @property
    def challenge(self) -> str:
        """Nothing: an outage is not a bad token."""
        return ""


_BY_STATUS: dict[int, type[AccessError]] = {
    400: InvalidRequestError,
    401: InvalidTokenError,
    403: InsufficientPermissionError,
    503: KeysUnavailableError,
}


_KINDS: Final = {code: _BY_STATUS[reason.status] for code, reason in REASONS.items()} | {
    "missing_token": MissingTokenError
}


def refusal(code: str, facts: Facts | Callable[[], Facts] | None = None, *, scope: str = "") -> AccessError:
    """Build the error that belongs to a reason."""
    return _KINDS[code](code, facts, scope=scope)


def _quoted(value: str) -> str:
    """Write a quoted-string (RFC 9110 section 5.6.4)."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


_LONGEST_FACT = 200


def printable(value: object) -> str:
    """Write a fact on one line, whatever a stranger put into it: escaped, and cut at 200 characters."""
    text = (
        value
        if isinstance(value, str) and value.isprintable() and " " not in value
        else json.dumps(value, default=str)
    )
    return text if len(text) <= _LONGEST_FACT else f"{text[:_LONGEST_FACT]}..."
