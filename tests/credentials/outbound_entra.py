"""An Entra for tests of credentials: its clock is set by the test, and it counts token requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import httpx
import jwt
from held_responses import HeldResponses
from manual_clock import ManualClock
from waiting import wait_until

from entra_guard.credentials import AccessToken
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from entra_guard.credentials import ClientSecretCredential

# `get_token` of a credential, or `aget_token` on an event loop: see the fixture `get`.
Get = Callable[..., AccessToken]


class OutboundEntra(Entra):
    """An Entra whose time, and that of its credentials, changes only when it is advanced."""

    def __init__(self) -> None:
        self.clock = ManualClock(time.time())
        self.monotonic = ManualClock()
        super().__init__(clock=self.clock, app_roles=["Orders.Read"])
        self.responses = HeldResponses(self.transport)

    @cached_property
    def http_client(self) -> httpx.Client:
        """A client of this Entra, whose responses a test can hold back."""
        return httpx.Client(transport=self.responses, base_url=self.url)

    @property
    def scope(self) -> str:
        """The scope of the API."""
        return self.api.default_scope

    @property
    def token_requests(self) -> int:
        """The number of token requests received."""
        return self.count("token")

    @property
    def credential_settings(self) -> dict[str, Any]:
        """The arguments with which any credential uses this Entra and its time."""
        times = {"clock": self.clock, "monotonic": self.monotonic}
        return {"authority": self.url, "http_client": self.http_client, **times}

    def credential(self, **settings: Any) -> ClientSecretCredential:
        """Return a credential of the caller."""
        return super().credential(**{**self.credential_settings, **settings})

    def advance(self, seconds: float) -> None:
        """Advance the time of this Entra and of its credentials."""
        self.clock.advance(seconds)
        self.monotonic.advance(seconds)

    def scopes_of_new_apis(self, number: int) -> list[str]:
        """Register APIs and return their scopes."""
        return [self.register_app(f"API {n}").default_scope for n in range(number)]

    def wait_for_token_requests(self, number: int) -> None:
        """Wait until that number of token requests has been received, also from background threads."""
        wait_until(lambda: self.token_requests >= number)

    @contextmanager
    def expect_token_requests(self, expected: int) -> Iterator[None]:
        """Check how many token requests the block sends."""
        before = self.token_requests
        yield
        assert self.token_requests - before == expected


def claims_of(token: AccessToken) -> dict[str, Any]:
    """Return the claims of a token without verifying it."""
    return jwt.decode(token.token, options={"verify_signature": False})


def wait_until_idle(credential: Any) -> None:
    """Wait until a credential has no request in flight."""
    wait_until(lambda: credential._cache.idle)
