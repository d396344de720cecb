"""What the emulator's server takes from uvicorn: its HTTP protocol, set up to be quiet and to be dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entra_guard.emulator._http.asgi import CONNECTION

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from starlette.types import ASGIApp


def uvicorn_parts(app: ASGIApp) -> tuple[Any, Callable[..., asyncio.Protocol], Any]:
    """Configuration, HTTP protocol and shared state of uvicorn.

    Raises:
        ImportError: It is not installed.
    """
    try:
        from uvicorn.config import Config  # noqa: PLC0415 (an extra, needed with sockets only)
        from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415
        from uvicorn.server import ServerState  # noqa: PLC0415
    except ImportError:
        raise ImportError(
            'The emulator\'s server needs uvicorn: pip install "entra-guard[emulator]".'
        ) from None

    class Connection(H11Protocol):
        """Without an access log, and with its transport in the scope, for a fault that drops it."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.access_log = False
            self.app = _with_connection(self.app, transport)

    return _configuration(Config, app), Connection, ServerState()


def _with_connection(app: Any, transport: asyncio.Transport) -> Any:
    """The app, told in its scope how to end its connection."""
    connection = {"abort": transport.abort, "close": transport.close}

    async def told(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("extensions", {})[CONNECTION] = connection
        await app(scope, receive, send)

    return told


def _configuration(config_class: Any, app: ASGIApp) -> Any:
    """Nothing that touches the process: no logging set-up, no signals, no lifespan."""
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
