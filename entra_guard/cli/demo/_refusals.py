"""The requests that must be refused: what is sent, and the expected response."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from entra_guard.cli.demo._fixture import DemoFixture

if TYPE_CHECKING:
    import httpx

Token = Callable[[DemoFixture, "httpx.Client"], str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that must be refused.

    Attributes:
        title: What is wrong with it.
        status: The expected status.
        reason: The expected reason in the log.
        challenge: The expected beginning of WWW-Authenticate, up to the first comma.
        token: Returns the token; '' sends none.
        method: The method of the request to /orders.
    """

    title: str
    status: int
    reason: str
    challenge: str
    token: Token
    method: str = "GET"


_INVALID: Final = 'Bearer error="invalid_token"'


def _no_token(_cast: DemoFixture, _client: httpx.Client) -> str:
    return ""


def _requested(scope: Callable[[DemoFixture], str]) -> Token:
    """Return a function that requests a token for another scope."""
    return lambda fixture, client: str(fixture.request_token(client, scope(fixture)).json()["access_token"])


def _preset(word: str) -> Token:
    """Return a function that issues a token with a preset."""
    return lambda fixture, _client: fixture.entra.issue_token(
        fixture.daemon, audience=fixture.api, preset=word
    )


REFUSALS: Final = (
    Refusal("No token: the header is missing.", 401, "missing_token", "Bearer", _no_token),
    Refusal("Expired: the daemon used its token for too long.", 401, "expired", _INVALID, _preset("expired")),
    Refusal(
        "Wrong audience: a valid token of the same tenant, but for the Invoices API.",
        401,
        "wrong_audience",
        _INVALID,
        _requested(lambda fixture: fixture.other.default_scope),
    ),
    Refusal(
        "Missing role: a valid token, but placing an order requires Orders.Write.",
        403,
        "missing_role",
        'Bearer error="insufficient_scope"',
        _requested(lambda fixture: fixture.api.default_scope),
        "POST",
    ),
    Refusal(
        "Forged signature: the token names Entra's key, but another key signed it.",
        401,
        "bad_signature",
        _INVALID,
        _preset("forged"),
    ),
    Refusal(
        "For Microsoft Graph: the daemon requested the wrong scope.",
        401,
        "token_for_graph",
        _INVALID,
        _requested(lambda _cast: "https://graph.microsoft.com/.default"),
    ),
)
