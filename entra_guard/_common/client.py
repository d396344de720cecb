"""HTTP clients of our own. Imports httpx: only constructors of guards and credentials import this module."""

from __future__ import annotations

import codecs
import os
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import httpcore
import httpx
import jwt.algorithms  # noqa: F401  # pyright: ignore[reportUnusedImport]  # the first key set needs it

from entra_guard._common.proxies import ProxyRoute, given_proxy, proxy_routes
from entra_guard._common.streams import Backend
from entra_guard._common.trust import default_context
from entra_guard._common.version import PRODUCT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator, Iterator

# The first DNS query looks this codec up and imports it: it must not do so during a fork or at exit.
codecs.lookup("idna")

_CONNECTIONS: Final = 100
_IDLE_CONNECTIONS: Final = 20
_IDLE_SECONDS: Final = 5.0
_CORE_ERRORS: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


def make_client(
    timeout: tuple[float, float, float, float],
    *,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
    direct: bool = False,
) -> httpx.Client:
    """Make a client with our own network backend.

    Args:
        timeout: For each step of an exchange.
        ssl_context: Trusts other authorities than the usual ones.
        proxy: URL of a proxy; by default those of the environment, except for this machine.
        direct: Use no proxy, as for endpoints on the host itself.

    Raises:
        ConfigurationError: The proxy, or a variable of the environment, cannot be used.
    """
    routes: dict[str, ProxyRoute | None] = {}
    if proxy is not None:
        routes["all://"] = given_proxy(proxy)
    elif not direct:
        routes = proxy_routes()
    context = ssl_context or (None if direct else default_context())
    return httpx.Client(
        headers={"user-agent": PRODUCT},
        timeout=timeout,
        trust_env=False,
        transport=Transport(context),
        mounts={
            pattern: None if route is None else Transport(context, route) for pattern, route in routes.items()
        },
    )


def make_async_client(timeout: tuple[float, float, float, float]) -> httpx.AsyncClient:
    """Make a client for an event loop, on httpx's own network backend: it staggers connections already.

    Raises:
        ConfigurationError: A variable of the environment cannot be used.
    """
    context = default_context()
    return httpx.AsyncClient(
        headers={"user-agent": PRODUCT},
        timeout=timeout,
        trust_env=False,
        verify=context,
        mounts={
            pattern: None if route is None else httpx.AsyncHTTPTransport(verify=context, proxy=route.url)
            for pattern, route in proxy_routes().items()
        },
    )


class Transport(httpx.BaseTransport):
    """Sends requests by a connection pool of httpcore, as httpx.HTTPTransport does, on our network backend.

    httpx.HTTPTransport does not accept a network backend.
    """

    def __init__(self, ssl_context: ssl.SSLContext | None, proxy: ProxyRoute | None = None) -> None:
        self._proxy = proxy
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context,
            proxy=None if proxy is None else _core_proxy(httpx.Proxy(proxy.url), ssl_context),
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_IDLE_CONNECTIONS,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=Backend(),
        )
        # Not `__del__`: at exit, Python may call it after it has cleared the modules that httpcore needs.
        weakref.finalize(self, _close_in, os.getpid(), self._pool)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the response's body is read later."""
        assert isinstance(request.stream, httpx.SyncByteStream)  # noqa: S101  # httpx.Client has made it so
        trace = request.extensions.get("trace")
        if self._proxy is not None and trace is not None:
            trace.proxy = self._proxy.label
        with _errors_of_httpx(request):
            response = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=_core_url(request.url),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, request),
            extensions=cast("Any", response).extensions,
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        with _errors_of_httpx(self._request):
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


def _close_in(process: int, pool: httpcore.ConnectionPool) -> None:
    """Close a pool, but not in a forked child: a thread that is gone may hold its lock."""
    if os.getpid() == process:
        pool.close()


def _core_url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _core_proxy(proxy: httpx.Proxy, ssl_context: ssl.SSLContext | None) -> httpcore.Proxy:
    return httpcore.Proxy(
        url=_core_url(proxy.url),
        auth=proxy.raw_auth,
        headers=proxy.headers.raw,
        ssl_context=ssl_context if proxy.url.scheme == "https" else None,
    )


@contextmanager
def _errors_of_httpx(request: httpx.Request) -> Generator[None]:
    """Raise httpcore's errors as httpx's, which have the same names."""
    try:
        yield
    except _CORE_ERRORS as error:
        kind: type[httpx.RequestError] = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error), request=request) from error
