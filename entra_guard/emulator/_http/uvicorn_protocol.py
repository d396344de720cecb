"""uvicorn's HTTP protocol, configured without logging and with access to the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entra_guard.emulator._http.asgi import CONNECTION

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from starlette.types import ASGIApp


def uvicorn_parts(app: ASGIApp) -> tuple[Any, Callable[..., asyncio.Protocol], Any]:
    """Return uvicorn's configuration, HTTP protocol class and shared state.

    Raises:
        ImportError: uvicorn is not installed.
    """
    try:
        from uvicorn.config import Config  # noqa: PLC0415 (an extra, needed for sockets only)
        from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415
        from uvicorn.server import ServerState  # noqa: PLC0415
    except ImportError:
        raise ImportError(
            'The emulator\'s server needs uvicorn: pip install "entra-guard[emulator]".'
        ) from None

    class Connection(H11Protocol):
        """Write no access log, and give the app access to the transport, so that a fault can close it."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.access_log = False
            self.app = _with_connection(self.app, transport)

    return _load_config(Config, app), Connection, ServerState()


def _with_connection(app: Any, transport: asyncio.Transport) -> Any:
    """Wrap the app: its scope gets the extension that closes the connection."""
    connection = {"abort": transport.abort, "close": transport.close}

    async def app_with_connection(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("extensions", {})[CONNECTION] = connection
        await app(scope, receive, send)

    return app_with_connection


def _load_config(config_class: Any, app: ASGIApp) -> Any:
    """Load a configuration that changes nothing in the process: no logging, signals or lifespan."""
    config = config_class(
        app,
        interface="asgi3",
        lifespan="off",
        ws="none",
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=60,
    )
    config.load()
    return config
