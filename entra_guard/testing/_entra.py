"""The emulator with an API and a caller, and the guard, tokens, credentials and test clients for them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import httpx

from entra_guard._common.clock import wall_clock
from entra_guard.emulator import Emulator
from entra_guard.guard import Guard
from entra_guard.testing._test_clients import create_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from entra_guard.credentials import ClientSecretCredential
    from entra_guard.emulator import AppRegistration, Secret, User
    from entra_guard.principal import Principal


class Entra(Emulator):
    """An Entra for tests: in this process, without sockets and without patches.

    Args:
        seed: Makes every identifier the same on every run.
        clock: Returns the time in seconds since 1970; `advance(3600)` moves it for tokens and guards.
        base_url: Its base URL. Two Entras in one test need different ones, such as http://other.localhost.
        app_roles: App roles of the API. The caller is granted the first one.
        scopes: Delegated permissions of the API.
        https: Serve https too between `start()` and `stop()`, for clients that need sockets.

    Attributes:
        api: The API under test.
        caller: The application that calls it.

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
        clock: Callable[[], float] = wall_clock,
        base_url: str = "http://entra.localhost",
        app_roles: Iterable[str] = ("access_as_application",),
        scopes: Iterable[str] = ("access_as_user",),
        https: bool = False,
    ) -> None:
        super().__init__(seed=seed, clock=clock, base_url=base_url, https=https)
        self.api: AppRegistration = self.register_app(
            "The API under test", app_roles=app_roles, scopes=scopes
        )
        self.caller: AppRegistration = self.register_app("The caller", identifier_uris=())
        if self.api.app_roles:
            self.grant(self.caller, self.api, self.api.app_roles[0].value)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: no socket is open, and guards may fetch keys until they are garbage-collected."""

    @cached_property
    def http_client(self) -> httpx.Client:
        """A client for requests to the emulator; paths are relative to its base URL."""
        return httpx.Client(transport=self.transport, base_url=self.url)

    @cached_property
    def secret(self) -> Secret:
        """A client secret of the caller."""
        return self.add_secret(self.caller)

    @cached_property
    def _default_guard(self) -> Guard:
        return self.guard()

    def guard(self, **settings: Any) -> Guard:
        """Return a guard for the API, as the application creates its own.

        Args:
            settings: Any argument of `Guard`.
        """
        defaults: dict[str, Any] = {
            "tenant": self.tenant_id,
            "audience": self.api.client_id,
            "authority": self.url,
            "clock": self.now,
            "http_client": self.http_client,
        }
        return Guard(**_merged(defaults, settings))

    def credential(self, **settings: Any) -> ClientSecretCredential:
        """Return a credential of the caller, to test outbound calls.

        Args:
            settings: Any argument of `ClientSecretCredential`.

        Example:
            >>> entra = Entra()
            >>> token = entra.credential().get_token(entra.api.default_scope)
            >>> entra.guard().verify(token.token).roles
            ('access_as_application',)
        """
        from entra_guard.credentials import ClientSecretCredential  # noqa: PLC0415

        defaults: dict[str, Any] = {
            "tenant_id": self.tenant_id,
            "client_id": self.caller.client_id,
            "client_secret": self.secret.value,
            "authority": self.url,
            "clock": self.now,
            "http_client": self.http_client,
        }
        return ClientSecretCredential(**_merged(defaults, settings))

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
        """Issue a token for the API; by default one with the caller's assigned roles.

        Args:
            roles: App roles in the token. They need not be registered.
            scopes: Delegated permissions; they make it a user's token (alice's if no user is named).
            app: The application that calls; by default the caller.
            user: The user for whom it calls: 'alice', 'bob', or one that was added.
            version: 1 or 2.
            preset: A special token by name, such as 'expired': see `emulator.PRESETS`.
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

    def principal(self, **token: Any) -> Principal:
        """Return the `Principal` of a token, by verifying the token.

        For `entra_guard.principal.acting`, and `entra_guard.fastapi.acting_as` in `dependency_overrides`.

        Args:
            token: Arguments of `token`.
        """
        return self._default_guard.verify(self.token(**token))

    def client(self, application: Any = None, /, *, anonymous: bool = False, **token: Any) -> Any:
        """Return a test client of the application's framework that sends a token.

        Args:
            application: A Starlette, FastAPI or Flask application, or any of ASGI or WSGI; None for Django.
            anonymous: Send no token.
            token: Arguments of `token`.
        """
        if anonymous and token:
            raise TypeError(f"anonymous=True sends no token: omit {', '.join(token)}.")
        headers = {} if anonymous else {"Authorization": f"Bearer {self.token(**token)}"}
        return create_client(application, headers)


def _merged(defaults: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return defaults and settings; another transport replaces the emulator's in-process client."""
    if settings.keys() & {"ssl_context", "proxy"}:
        del defaults["http_client"]
    return defaults | settings
