"""The emulator's server: http and https ports, the certificate authority, start and stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._http.server import LoopbackServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import ASGIApp

    from entra_guard.emulator._http.tls import LocalAuthority

_NO_HTTPS = "https is not served: use Emulator(https=True) and start it."


class EmulatorServer:
    """Serve an ASGI app on loopback, between `start` and `stop`.

    Args:
        app: The app.
        https: Serve https too.
        port: The http port; 0 selects a free one.
        https_port: The https port; 0 selects a free one. Any other number enables https.
        state_dir: Folder of the certificate authority; by default each start creates a temporary one.
        host: The name by which other containers reach it, over https only.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        https: bool = False,
        port: int = 0,
        https_port: int = 0,
        state_dir: Path | None = None,
        host: str = "",
    ) -> None:
        self._app = app
        self._host = host
        self._https = https or https_port != 0 or host != ""
        self._ports = (port, https_port)
        self._state_dir = state_dir
        self._server: LoopbackServer | None = None
        self._authority: LocalAuthority | None = None
        self._refusing = False

    @property
    def running(self) -> bool:
        return self._server is not None

    @property
    def url(self) -> str | None:
        """The http base URL; None if the server is not running."""
        return self._server.url if self._server else None

    @property
    def https_url(self) -> str:
        """The https base URL.

        Raises:
            RuntimeError: https is not served.
        """
        url = self._server.https_url if self._server else None
        if url is None:
            raise RuntimeError(_NO_HTTPS)
        return url

    @property
    def authority(self) -> LocalAuthority:
        """The certificate authority.

        Raises:
            RuntimeError: https is not served.
        """
        if self._authority is None:
            raise RuntimeError(_NO_HTTPS)
        return self._authority

    def ssl_context(self) -> ssl.SSLContext:
        """Return a client context that trusts only `https_url`."""
        return self.authority.client_context()

    def start(self) -> None:
        """Serve until `stop`.

        Raises:
            RuntimeError: The server is already running.
            OSError: A port is in use.
            ImportError: uvicorn is not installed.
        """
        if self._server is not None:
            raise RuntimeError("The emulator is already running: call stop() first.")
        if self._https:
            self._authority = self._load_authority()
        try:
            self._server = self._new_server()
        except BaseException:
            self.stop()
            raise
        self._server.start()

    def _load_authority(self) -> LocalAuthority:
        # Certificates are slow to import, and only needed for https.
        from entra_guard.emulator._http.tls import LocalAuthority  # noqa: PLC0415

        folder, host = self._state_dir, self._host
        return LocalAuthority.load_or_create(folder, host) if folder else LocalAuthority.create(host)

    def _new_server(self) -> LoopbackServer:
        port, https_port = self._ports
        tls = self._authority.server_context() if self._authority else None
        return LoopbackServer(self._app, port=port, https_port=https_port, tls=tls, host=self._host)

    def stop(self) -> None:
        """Close every connection and the ports. Do nothing if the server is not running."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        if self._authority is not None and self._state_dir is None:
            self._authority.remove()
        self._authority = None
        self._refusing = False

    def wait(self) -> None:
        """Block until `stop` is called in another thread, or Ctrl-C."""
        if self._server is not None:
            self._server.wait()

    def refuse_connections(self, refuse: bool) -> bool:
        """Close the ports, or open them again. Return whether this changed them."""
        if self._server is None or refuse == self._refusing:
            return False
        self._refusing = refuse
        (self._server.refuse_connections if refuse else self._server.accept_connections)()
        return True

    def call_later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call a function on the server's thread after this many seconds, if the server still runs."""
        if self._server is not None:
            self._server.call_later(seconds, function)
