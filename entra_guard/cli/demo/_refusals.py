"""The requests that must be refused, as data: who sends what, and the answer that is due."""

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
    """One request that must be refused.

    Attributes:
        title: What is wrong with it, in a sentence.
        status: The status of the answer that is due.
        reason: The reason that is due, in the answer and in the log.
        challenge: What WWW-Authenticate must begin with, up to the first comma.
        token: Makes the token; '' sends none.
        method: Of the request to /orders.
    """

    title: str
    status: int
    reason: str
    challenge: str
    token: Token
    method: str = "GET"


_INVALID: Final = 'Bearer error="invalid_token"'


def _none(_cast: DemoFixture, _client: httpx.Client) -> str:
    return ""


def _asked(scope: Callable[[DemoFixture], str]) -> Token:
    """A token that Entra's token endpoint gives out for another scope."""
    return lambda fixture, client: str(fixture.ask(client, scope(fixture)).json()["access_token"])


def _preset(word: str) -> Token:
    """A token that no client would get, from the emulator's workshop."""
    return lambda fixture, _client: fixture.entra.issue_token(
        fixture.daemon, audience=fixture.api, preset=word
    )


REFUSALS: Final = (
    Refusal("No token: the header is missing.", 401, "missing_token", "Bearer", _none),
    Refusal("Expired: the daemon kept its token for too long.", 401, "expired", _INVALID, _preset("expired")),
    Refusal(
        "Wrong audience: a good token of the same tenant, but for the Invoices API.",
        401,
        "wrong_audience",
        _INVALID,
        _asked(lambda fixture: fixture.other.default_scope),
    ),
    Refusal(
        "Missing role: a good token, but placing an order takes Orders.Write.",
        403,
        "missing_role",
        'Bearer error="insufficient_scope"',
        _asked(lambda fixture: fixture.api.default_scope),
        "POST",
    ),
    Refusal(
        "Forged signature: the token names Entra's key, and is signed with another.",
        401,
        "bad_signature",
        _INVALID,
        _preset("forged"),
    ),
    Refusal(
        "For Microsoft Graph: the daemon asked for the wrong scope.",
        401,
        "token_for_graph",
        _INVALID,
        _asked(lambda _cast: "https://graph.microsoft.com/.default"),
    ),
)
