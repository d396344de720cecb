"""Authenticate a request: read its bearer token, verify it, check the requirements. Imports no framework."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, TypedDict

from entra_guard._common.arguments import check_flags
from entra_guard._common.boundary import detach
from entra_guard._common.shared import Shared
from entra_guard._common.step_up import check_issuer_supports
from entra_guard._guard.combined_guard import guards_of
from entra_guard._validation.token_form import PLACEHOLDER, is_placeholder, looks_like_jwt, why_wrapped
from entra_guard._web.adapter_arguments import check_guard
from entra_guard._web.public_paths import PublicPaths
from entra_guard.errors import AccessError, ConfigurationError, refusal
from entra_guard.requirement import requirement_or_none

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from entra_guard._common.agent import Agents
    from entra_guard._guard.combined_guard import CombinedGuard
    from entra_guard.guard import Guard
    from entra_guard.principal import Principal
    from entra_guard.requirement import Requirement

_SPACE, _COMMA = b" ,"  # as numbers, which are found in bytes five times as fast
_NO_TOKENS: Final = frozenset({b"null", b"undefined", b"none", b"nil", b"[object object]"})
_LONGEST_NO_TOKEN: Final = max(map(len, _NO_TOKENS))
_ALMOST_BEARER: Final = frozenset({b"authorization:", b"jwt"})
_SCHEMES: Final = frozenset(
    {b"basic", b"digest", b"negotiate", b"ntlm", b"pop", b"dpop", b"mtls_pop", b"token"}
)


def bearer_token(values: Sequence[bytes]) -> bytes:
    """Return the token of a request's Authorization headers (RFC 6750 section 2.1).

    Args:
        values: The values of all Authorization headers.

    Raises:
        MissingTokenError: There is no such header.
        InvalidRequestError: The headers are not one header with the scheme Bearer and one token.
    """
    if len(values) == 1:
        scheme, _, token = values[0].partition(b" ")
        is_bearer = scheme == b"Bearer" or scheme.lower() == b"bearer"
        if is_bearer and len(token) > _LONGEST_NO_TOKEN and _SPACE not in token and _COMMA not in token:
            return token
        token = token.strip(b" ")
        if is_bearer and token and _SPACE not in token and _COMMA not in token:
            if token.lower() not in _NO_TOKENS:
                return token
            raise refusal(
                "malformed_authorization", {"found": f"the word {token.lower().decode()} as a token"}
            )
    raise _malformed(values) if values else refusal("missing_token")


def _malformed(values: Sequence[bytes]) -> AccessError:
    """Return the refusal of headers that are not 'Bearer' and one token."""
    if len(values) > 1:
        return refusal("malformed_authorization", {"found": f"{len(values)} Authorization headers"})
    value = values[0].strip()
    scheme, _, rest = value.partition(b" ")
    rest = rest.strip()
    if reason := why_wrapped(rest if scheme.lower() == b"bearer" else value):
        return refusal(reason)
    if looks_like_jwt(value):
        return refusal("missing_bearer")
    return refusal("malformed_authorization", {"found": _shape(scheme.lower(), rest)})


def _shape(scheme: bytes, rest: bytes) -> str:
    """Return what a header looks like, without quoting what may be a token or a password.

    Args:
        scheme: What is before the first space, in lower case.
        rest: What is behind it.
    """
    if scheme in _SCHEMES:
        return f"the scheme {scheme.decode()}"
    if scheme in _ALMOST_BEARER:
        return f"{scheme.decode()!r} in place of 'Bearer' and a space"
    if scheme == b"bearer":
        return _shape_of_token(rest)
    if scheme.startswith(b"bearer"):
        return "no space behind the word Bearer"
    return "another scheme than Bearer" if scheme else "an empty header"


def _shape_of_token(rest: bytes) -> str:
    if not rest:
        return "Bearer without a token"
    if is_placeholder(rest):
        return PLACEHOLDER
    words = rest.split()
    if words[0].lower() == b"bearer":
        return "the word Bearer twice"
    return "a comma in the token" if len(words) == 1 else f"Bearer and {len(words)} words"


def check_guard_supports(guard: Guard | CombinedGuard, required: Requirement) -> None:
    """Refuse a requirement that no issuer of a guard supports.

    Raises:
        ConfigurationError: `max_age` with Entra, or a context that Entra cannot have.
    """
    if all(each.authority.is_entra for each in guards_of(guard)):
        check_issuer_supports(required.auth_context, required.max_age, is_entra=True)


class AuthenticatorSettings(TypedDict, total=False):
    """The settings that all adapters accept; `RequestAuthenticator` explains them."""

    public: Iterable[str]
    roles: Iterable[str] | str
    scopes: Iterable[str] | str
    app_only: bool
    users_only: bool
    guests: bool
    agents: Agents | None
    auth_context: str
    max_age: float | None
    close_at_expiry: bool | None


SETTING_NAMES: Final = tuple(AuthenticatorSettings.__annotations__)


class RequestAuthenticator(Shared):
    """Authenticates the requests of one application.

    Args:
        guard: Verifies the tokens.
        public: Paths that need no token, such as ['/healthz', '/static/*'].
        roles: App roles that all other paths require; a caller needs each of them.
        scopes: Delegated permissions that all other paths require.
        app_only: Accept applications, and refuse users.
        users_only: Accept users, and refuse applications.
        guests: False refuses guest users of the tenant, and users whose token does not say.
        agents: False refuses AI agents, 'only' refuses all others; see `Requirement`.
        auth_context: An authentication context such as 'c1' that every user's sign-in must fulfil (step-up),
            see `Requirement`. Applications are refused.
        max_age: Seconds that may have passed since the user signed in (RFC 9470). Not with Entra.
        close_at_expiry: Which streams end when their token expires: with None WebSockets (closed with
            1008), with True streamed responses too, with False neither.

    Raises:
        ConfigurationError: A setting that cannot work.
    """

    def __init__(
        self,
        guard: Guard | CombinedGuard,
        *,
        public: Iterable[str] = (),
        roles: Iterable[str] | str = (),
        scopes: Iterable[str] | str = (),
        app_only: bool = False,
        users_only: bool = False,
        guests: bool = True,
        agents: Agents | None = None,
        auth_context: str = "",
        max_age: float | None = None,
        close_at_expiry: bool | None = None,
    ) -> None:
        check_guard(guard)
        if close_at_expiry is not None:
            check_flags(close_at_expiry=close_at_expiry)
        self.guard: Final = guard
        self.public_paths: Final = PublicPaths(public)
        # Returns whether a routed, decoded path needs no token.
        self.is_public: Final = self.public_paths.cover
        # Whether a stream of this kind ends with its token.
        self.ends: Final = {"websocket": close_at_expiry is not False, "http": close_at_expiry is True}
        # What all paths that are not public require, None if any valid token is enough.
        self.required: Final = requirement_or_none(
            roles=roles,
            scopes=scopes,
            app_only=app_only,
            users_only=users_only,
            guests=guests,
            agents=agents,
            auth_context=auth_context,
            max_age=max_age,
        )
        if self.required is not None:
            check_guard_supports(guard, self.required)

    def linked(self, error: AccessError) -> AccessError:
        """Return a refusal; with `Guard(reasons_url=...)` its log line links to the reason's section."""
        error.reasons_url = self.guard.reasons_url
        return error

    def on_threads(self) -> RequestAuthenticator:
        """Return this authenticator, for an adapter that calls `authenticate`.

        Raises:
            ConfigurationError: The guard works in an event loop only.
        """
        if self.guard.needs_event_loop:
            raise ConfigurationError(
                "the rule of Tenants.where is async, and this adapter runs on threads: use a rule that is "
                "not async, or an ASGI adapter"
            )
        return self

    def is_over(self, principal: Principal | None) -> bool:
        """Return whether a streamed response must end: its caller's token has expired, or was revoked."""
        if principal is None:
            return False
        is_expired = self.ends["http"] and self.guard.seconds_left(principal) <= 0
        return is_expired or self.guard.is_revoked(principal)

    def authenticate(self, authorization: Sequence[bytes]) -> Principal:
        """Return the caller of a request.

        Args:
            authorization: The values of all Authorization headers.

        Raises:
            AccessError: The request has no valid token, or the caller does not meet the requirements.
        """
        try:
            principal = self.guard.verify(bearer_token(authorization))
            if self.required is not None:
                self.required.check(principal)
        except BaseException as error:
            authorization = ()  # this frame may stay in the traceback
            detach(error)
            if isinstance(error, AccessError):
                self.linked(error)
            raise
        return principal

    async def authenticate_async(self, authorization: Sequence[bytes]) -> Principal:
        """Do what `authenticate` does, without blocking the event loop."""
        try:
            principal = await self.guard.averify(bearer_token(authorization))
            if self.required is not None:
                self.required.check(principal)
        except BaseException as error:
            authorization = ()  # this frame may stay in the traceback
            detach(error)
            if isinstance(error, AccessError):
                self.linked(error)
            raise
        return principal


def health_response(guard: Guard | CombinedGuard) -> tuple[int, dict[str, str], bytes]:
    """Return the response to a readiness probe: 200 or 503, headers, and a part of the health as JSON.

    Probes are public, so the body names no host: not the issuer's, not a proxy's. `guard.health()` has all.
    """
    health = guard.health()
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    body = {
        "status": health.status,
        "kids": health.kids,
        "age_seconds": None if health.age is None else round(health.age),
        "generation": health.generation,
        "failures": health.failures,
        "refused": health.refused,
        "failed_step": " ".join(_STEPS.findall(health.last_error)),
        "next_attempt_seconds": round(health.next_attempt),
    }
    return 200 if health.ready else 503, headers, json.dumps(body).encode()


# The steps of `FetchError`, where its text begins; those of several guards are joined with '; '.
_STEPS: Final = re.compile(r"(?:(?<=^)|(?<=; ))(dns|connect|proxy|tls|timeout|http|content)(?=: )")
