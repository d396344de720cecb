"""An emulator, an API, and an application that calls it: what the tests of credentials start from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt

from entra_guard.credentials import AccessToken, ClientSecretCredential

if TYPE_CHECKING:
    import httpx

    from entra_guard.emulator import AppRegistration, Emulator, Secret

Get = Callable[..., AccessToken]
"""`get_token` or `aget_token` of a credential, whichever world the test runs in."""


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Office:
    entra: Emulator
    clock: Clock
    monotonic: Clock
    api: AppRegistration
    daemon: AppRegistration
    secret: Secret
    web: httpx.Client

    @property
    def scope(self) -> str:
        return self.api.default_scope

    @property
    def posts(self) -> int:
        """How many token requests reached the emulator."""
        return self.entra.count("token")

    @property
    def settings(self) -> dict[str, Any]:
        """What makes a credential talk to the emulator, in the emulator's time."""
        times = {"clock": self.clock, "monotonic": self.monotonic}
        return {"authority": self.entra.url, "http_client": self.web, **times}

    def credential(self, **changes: Any) -> ClientSecretCredential:
        values = {"tenant_id": self.entra.tenant_id, "client_id": self.daemon.client_id}
        return ClientSecretCredential(
            **{**values, "client_secret": self.secret.value, **self.settings, **changes}
        )

    def advance(self, seconds: float) -> None:
        """Let time pass for the emulator and the credentials."""
        self.clock.advance(seconds)
        self.monotonic.advance(seconds)

    def apis(self, number: int) -> list[str]:
        """Return the scopes of more APIs."""
        return [self.entra.register_app(f"API {n}").default_scope for n in range(number)]

    def claims(self, token: AccessToken) -> dict[str, Any]:
        return jwt.decode(token.token, options={"verify_signature": False})

    def until_posts(self, number: int) -> None:
        """Wait for what runs in the background."""
        until(lambda: self.posts >= number)

    @contextmanager
    def counting(self, expected: int) -> Iterator[None]:
        """Check how many token requests the block sends."""
        before = self.posts
        yield
        assert self.posts - before == expected


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until something is so; fails if it never is."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition was not met in time"
        time.sleep(0.005)


def settled(credential: Any) -> None:
    """Wait until a credential has no request in flight."""
    until(lambda: credential._cache.idle)
