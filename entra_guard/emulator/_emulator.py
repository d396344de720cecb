"""The emulator as people use it: registered in Python, asked in-process or over loopback sockets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from entra_guard.emulator._http.server import LoopbackServer
from entra_guard.emulator._http.tls import LocalAuthority
from entra_guard.emulator._request_handling import RequestHandling
from entra_guard.emulator._store.store import IN_PROCESS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType


class Emulator(RequestHandling):
    """Microsoft Entra ID in a few hundred kilobytes: for tests, demonstrations and work on the train.

    It is exact where a guard or a client library can tell, breakable where you want it, and reachable from
    this machine only. Use it without sockets through `transport`, or as a context manager with real ones.

    Args:
        seed: Makes every identifier and secret the same on every run.
        clock: Gives the time in seconds since 1970.
        https: Whether to serve https too, which MSAL and azure-identity insist on.
        port: Of plain http; 0 takes a free one.
        https_port: Of https; 0 takes a free one. Any other number switches https on.
        state_dir: Where its certificate authority is kept between runs; by default each run makes one.

    Example:
        >>> with Emulator() as entra:
        ...     api = entra.register_app("Orders", app_roles=["Orders.Read"])
        ...     token = entra.issue_token(api, roles=["Orders.Read"])
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        clock: Callable[[], float] = time.time,
        https: bool = False,
        port: int = 0,
        https_port: int = 0,
        state_dir: Path | None = None,
    ) -> None:
        super().__init__(seed=seed, clock=clock)
        self._wants_https = https or https_port != 0
        self._requested_ports = (port, https_port)
        self._state_dir = state_dir
        self._server: LoopbackServer | None = None
        self._authority: LocalAuthority | None = None
        self._refusing = False

    def __repr__(self) -> str:
        return f"<Emulator {self.url}, {len(self.directory.apps)} apps>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def tenant_id(self) -> str:
        """The first tenant's id: Contoso's."""
        return self.find_tenant().id

    @property
    def authority(self) -> str:
        """The first tenant's authority: `{url}/{tenant_id}`."""
        return f"{self.url}/{self.tenant_id}"

    @property
    def url(self) -> str:
        """The base URL: of the server when it runs, or a loopback name for `transport`."""
        return self._server.url if self._server else IN_PROCESS

    @property
    def https_url(self) -> str:
        """The same over https.

        Raises:
            RuntimeError: It is not served: write `Emulator(https=True)`.
        """
        url = self._server.https_url if self._server else None
        if url is None:
            raise RuntimeError("https is not served: write Emulator(https=True) and start it.")
        return url

    @property
    def ca_bundle(self) -> Path:
        """A file with the certificate authority of `https_url`, for `verify=` and the like."""
        return self._local_authority().certificate

    @property
    def combined_ca_bundle(self) -> Path:
        """The same with the public authorities, to export as REQUESTS_CA_BUNDLE without breaking things."""
        return self._local_authority().combined

    def ssl_context(self) -> ssl.SSLContext:
        """A client's context that trusts `https_url` and nothing else."""
        return self._local_authority().client_context()

    def _local_authority(self) -> LocalAuthority:
        if self._authority is None:
            raise RuntimeError("https is not served: write Emulator(https=True) and start it.")
        return self._authority

    def start(self) -> None:
        """Serve on loopback until `stop`.

        Raises:
            RuntimeError: It is running already.
            OSError: A port is taken.
            ImportError: uvicorn is not installed.
        """
        if self._server is not None:
            raise RuntimeError("The emulator is running already.")
        if self._wants_https:
            self._authority = (
                LocalAuthority.kept_in(self._state_dir) if self._state_dir else LocalAuthority.create()
            )
        port, https_port = self._requested_ports
        tls = self._authority.server_context() if self._authority else None
        self._server = LoopbackServer(self.app, port=port, https_port=https_port, tls=tls)
        self._server.start()

    def stop(self) -> None:
        """Close every connection and the ports. Does nothing if it is not running."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        if self._authority is not None and self._state_dir is None:
            self._authority.remove()
        self._authority = None

    def faults_changed(self) -> None:
        """Close the ports while a `refused` fault lasts, and open them again."""
        now = time.monotonic()
        lasting = [f for f in self.faults if f.how == "refused" and not f.ended(now)]
        if self._server is None or bool(lasting) == self._refusing:
            return
        self._refusing = bool(lasting)
        (self._server.refuse if lasting else self._server.accept)()
        for fault in lasting:
            if fault.until is not None:
                self._server.later(fault.until - now, self.faults_changed)

    def wait(self) -> None:
        """Block until `stop` is called from elsewhere, or Ctrl-C."""
        if self._server is not None:
            self._server.wait()
