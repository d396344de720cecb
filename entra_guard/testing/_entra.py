"""The emulator with an API and a caller registered, and the guard, tokens and clients that go with it."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import httpx

from entra_guard.emulator import Emulator
from entra_guard.guard import Guard
from entra_guard.testing._clients import client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from entra_guard.emulator import AppRegistration, User
    from entra_guard.principal import Principal


class Entra(Emulator):
    """An Entra for tests: in this process, without sockets, nothing patched.

    Args:
        seed: Makes every identifier the same on every run.
        clock: Gives the time in seconds since 1970; `advance(3600)` moves it for tokens and guards alike.
        base_url: Its base URL. Two Entras in one test need different ones, such as http://other.localhost.

    Example:
        >>> with Entra() as entra:
        ...     guard = entra.guard()
        ...     guard.verify(entra.token(roles=["Orders.Read"])).roles
        ('Orders.Read',)
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        clock: Callable[[], float] = time.time,
        base_url: str = "http://entra.localhost",
    ) -> None:
        super().__init__(seed=seed, clock=clock, base_url=base_url)
        self.api: AppRegistration = self.register_app(
            "The API under test", app_roles=["access_as_application"], scopes=["access_as_user"]
        )
        self.caller: AppRegistration = self.register_app("A caller", identifier_uris=())
        self.grant(self.caller, self.api, "access_as_application")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: there is no socket to close, and guards may look for keys until they are let go."""

    @cached_property
    def _http(self) -> httpx.Client:
        return httpx.Client(transport=self.transport)

    @cached_property
    def _own_guard(self) -> Guard:
        return self.guard()

    def guard(self, **settings: Any) -> Guard:
        """Make a guard for the API, as the application would make its own.

        Args:
            settings: Any argument of `Guard`.
        """
        usual: dict[str, Any] = {"tenant": self.tenant_id, "audience": self.api.client_id, "clock": self.now}
        return Guard(**usual | settings, authority=self.url, http_client=self._http)

    def token(
        self,
        *,
        roles: Iterable[str] | None = None,
        scopes: Iterable[str] | None = None,
        app: AppRegistration | str | None = None,
        user: User | str | None = None,
        version: Literal[1, 2] | None = None,
        preset: str | None = None,
        **more: Any,
    ) -> str:
        """Issue a token for the API; by default one that passes the guard and permits nothing else.

        Args:
            roles: App roles to state.
            scopes: Delegated permissions to state; they make it a user's token (alice's if nobody is named).
            app: The application that calls.
            user: The user for whom it calls: 'alice', 'bob', or one that was added.
            version: 1 or 2.
            preset: One word for something special, such as 'expired': see `emulator.PRESETS`.
            more: Any other argument of `Emulator.issue_token`: `claims`, `lifetime`, `audience`, ...
        """
        more.setdefault("audience", self.api)
        return self.issue_token(
            app or self.caller,
            roles=roles,
            scopes=scopes,
            user=user,
            version=version,
            preset=preset,
            **more,
        )

    def principal(self, **who: Any) -> Principal:
        """Make the `Principal` of such a token, by verifying it.

        For `entra_guard.principal.acting`, and `entra_guard.fastapi.acting_as` in `dependency_overrides`.

        Args:
            who: As for `token`.
        """
        return self._own_guard.verify(self.token(**who))

    def client(self, application: Any = None, /, **who: Any) -> Any:
        """Make a test client of the application's framework that sends such a token.

        Args:
            application: A Starlette, FastAPI or Flask application, or any of ASGI or WSGI; none for Django.
            who: As for `token`.
        """
        return client_of(application, {"Authorization": f"Bearer {self.token(**who)}"})
