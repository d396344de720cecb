"""The one module that talks HTTP: bounded, impatient, and exact about which step failed.

An exchange has at most 5 seconds on a connection of its own, however slowly the other side sends, and 2
seconds to connect to each address of a host: what waits for one bounds its own patience. Redirects are
not followed: an authority has no reason to send us elsewhere. Answers are read up to a limit of bytes.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from entra_guard._common.fork_lock import load_late_imports
from entra_guard._common.strict_json import NotStrictJsonError, read_object
from entra_guard.errors import ConfigurationError, FetchError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    import httpx

CONNECT_TIMEOUT: Final = 2.0
TOTAL_TIMEOUT: Final = 5.0
UNPROXIED: Final[dict[str, httpx.BaseTransport | None]] = dict.fromkeys(
    ("http://localhost", "http://*.localhost", "http://127.0.0.1", "http://[::1]"), None
)
"""Mounts of a client that reaches this machine directly: what goes there goes in plain http, and a proxy of
the environment would be told all of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole: its status, headers (lower case) and JSON object."""

    status: int
    headers: Mapping[str, str]
    document: dict[str, Any] = field(repr=False)

    @property
    def date(self) -> float | None:
        """The server's own time in seconds since the epoch, if it told."""
        return http_date(self.headers.get("date", ""))


def is_loopback(url: str) -> bool:
    """Tell whether a URL can only mean this machine (RFC 6761 section 6.3, RFC 1122 section 3.2.1.3)."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_safe(url: str) -> bool:
    """Tell whether a URL may be fetched: https, or http on this machine only."""
    try:
        parts = urlsplit(url)
        possible = parts.hostname and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:  # brackets without an address in them, or a port that is no number below 65536
        return False
    return bool(possible) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url)))


def new_client(
    *, ssl_context: ssl.SSLContext | None = None, proxy: str | None = None, direct: bool = False
) -> httpx.Client:
    """Make a client of our own, for one round of fetches: nothing idles, nothing is shared by forks.

    Args:
        ssl_context: Trusts other authorities than the usual ones.
        proxy: Of the user's choice; by default the environment's, for other machines than this one.
        direct: Use no proxy at all, as for endpoints on the host itself.
    """
    load_late_imports()
    import httpx  # noqa: PLC0415  # a third of the import time of this package, and not needed before now

    return httpx.Client(
        verify=ssl_context or True,
        proxy=proxy,
        mounts=UNPROXIED if proxy is None else None,
        timeout=timeouts(TOTAL_TIMEOUT),
        trust_env=not direct,
    )


def timeouts(seconds: float) -> httpx.Timeout:
    """Bound each step of an exchange; connecting gets 2 seconds at most."""
    import httpx  # noqa: PLC0415

    return httpx.Timeout(seconds, connect=min(CONNECT_TIMEOUT, seconds))


def get_json(client: httpx.Client, url: str, *, limit: int) -> Answer:
    """GET a JSON object on a connection of its own.

    In a client that lives on, an idle connection would be shared with every process that is forked before the
    next use; and only a connection of its own can be cut when the time is over.

    Args:
        client: Whatever client the user chose.
        url: Where from; https, or http on this machine.
        limit: The most bytes to read.

    Raises:
        FetchError: Which step failed, and how; `retry_after` in seconds where the server asked.
    """
    answer = exchange(client, "GET", url, limit=limit, headers={"connection": "close"})
    if answer.status != 200:  # noqa: PLR2004
        raise FetchError("http", url, f"status {answer.status}", retry_after=retry_after(answer.headers))
    return answer


def exchange(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    limit: int,
    data: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    total: float = TOTAL_TIMEOUT,
    platform: bool = False,
) -> Answer:
    """Send one request and read the JSON object that answers it, whatever the status.

    Args:
        client: Whatever client the user chose.
        method: GET or POST.
        url: Where to.
        limit: The most bytes to read.
        data: A form to send.
        headers: More headers.
        total: Seconds for all of it.
        platform: The endpoint is the host platform's own and speaks plain http, as for managed identities.

    Raises:
        FetchError: No answer, or none that is a JSON object. A status without JSON fails at step "http".
    """
    if not (platform or is_safe(url)):
        raise FetchError("connect", url, "neither https nor http on this machine")
    deadline = time.monotonic() + total
    trail = _Trail(url)
    with trail.cut_after(total), steps_named(url, trail):
        request = client.build_request(
            method,
            url,
            data=data,
            headers={**_PLAIN, **(headers or {})},
            timeout=timeouts(total),
            extensions={"trace": trail},
        )
        response = client.send(request, stream=True, follow_redirects=False)
        try:
            body = _read(response, url, limit, deadline)
        finally:
            response.close()
    return Answer(response.status_code, dict(response.headers), _parsed(response, url, body))


_PLAIN: Final = {"accept": "application/json", "accept-encoding": "identity"}
"""Nothing is unpacked here: a kilobyte of compressed zeros would be a megabyte in memory."""


def _read(response: httpx.Response, url: str, limit: int, deadline: float) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise FetchError("content", url, "compressed, which was not asked for")
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > limit:
            raise FetchError("content", url, f"more than {limit} bytes")
        if time.monotonic() > deadline:
            raise FetchError("timeout", url, "the answer did not end in time")
    return bytes(body)


def _parsed(response: httpx.Response, url: str, body: bytes) -> dict[str, Any]:
    if response.is_redirect:
        raise FetchError("content", url, f"a redirect ({response.status_code}), which is not followed")
    try:
        return read_object(body)
    except NotStrictJsonError as error:
        if response.status_code != 200:  # noqa: PLR2004
            after = retry_after(response.headers)
            raise FetchError("http", url, f"status {response.status_code}", retry_after=after) from None
        kind = response.headers.get("content-type", "no content type")[:80]
        raise FetchError("content", url, f"{error}, sent as {kind!r}") from None


class _Trail:
    """Which host an exchange has come to: the one in its URL, or a proxy (httpx: the trace extension).

    It keeps the connection too, to cut it when the time is over: a time-out of httpx begins anew with every
    byte that comes.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.wanted = self.host = urlsplit(url).hostname or ""
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._over = False

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Be told by httpx what is about to happen."""
        if event.endswith("connect_tcp.started"):
            self.host = str(info["host"])
        elif event.endswith("connect_tcp.complete"):
            self._keep(info["return_value"].get_extra_info("socket"))
        elif event.endswith("start_tls.started"):
            self.host = str(info["server_hostname"])

    def _keep(self, connection: object) -> None:
        """Keep a handle of our own: the other one changes hands when TLS begins."""
        if not isinstance(connection, socket.socket):
            return
        with self._lock:
            self._connection = connection.dup()
            if self._over:
                self._cut()

    @contextmanager
    def cut_after(self, seconds: float) -> Generator[None]:
        """Cut the connection after so many seconds, which fails whatever waits for it."""
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        with suppress(RuntimeError):  # too many threads: httpx's own time-outs must do
            timer.start()
        try:
            yield
        except FetchError as error:
            if self._over and error.step == "http":
                raise FetchError("timeout", self._url, "the answer did not end in time") from error
            raise
        finally:
            timer.cancel()
            with self._lock:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None

    def _end(self) -> None:
        with self._lock:
            self._over = True
            self._cut()

    def _cut(self) -> None:
        if self._connection is not None:
            with suppress(OSError):  # the other side was faster
                self._connection.shutdown(socket.SHUT_RDWR)

    def step(self, usual: str) -> str:
        """What failed here: the usual step, or the proxy that was to do it."""
        return usual if self.host == self.wanted else "proxy"


@contextmanager
def steps_named(url: str, trail: _Trail | None = None) -> Generator[None]:
    """Turn httpx's errors into ours, which name the step and the host."""
    import httpx  # noqa: PLC0415

    trail = trail or _Trail(url)
    try:
        yield
    except httpx.TimeoutException as error:
        words = f"no answer of {trail.host} in time ({type(error).__name__})"
        raise FetchError("timeout", url, words) from error
    except httpx.ProxyError as error:
        raise FetchError("proxy", url, f"the proxy {trail.host} refused: {error}") from error
    except httpx.ConnectError as error:
        raise _connect_error(url, trail, error) from error
    except httpx.InvalidURL as error:
        raise FetchError("connect", url, f"not a URL: {error}") from error
    except httpx.HTTPError as error:
        raise FetchError("http", url, f"the exchange broke ({type(error).__name__})") from error


def _connect_error(url: str, trail: _Trail, error: Exception) -> FetchError:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return FetchError("tls", url, f"{trail.host}: {_tls_words(cause)}")
        if isinstance(cause, socket.gaierror):
            words = f"the host name {trail.host} does not resolve ({cause.strerror})"
            return FetchError(trail.step("dns"), url, words)
    return FetchError(trail.step("connect"), url, f"{trail.host}: {error or type(error).__name__}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _tls_words(error: ssl.SSLError) -> str:
    words = getattr(error, "verify_message", "") or error.reason or str(error)
    said = words.lower().replace("-", " ")
    if any(name in said for name in ("basic constraints", "key identifier", "key usage")):
        return (
            f"{words}. Python 3.13 and later check certificates strictly (ssl.VERIFY_X509_STRICT): have the "
            "CA's certificate issued anew, or pass an ssl_context without that flag"
        )
    if "self signed" in said or "unable to get local issuer" in said:
        return f"{words}. With a private CA or a TLS-inspecting proxy, pass ssl_context= or set SSL_CERT_FILE"
    return words


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Read Retry-After as seconds from now (RFC 9110 section 10.2.3), or None."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    moment = http_date(value)
    return None if moment is None else max(0.0, moment - (time.time() if now is None else now))


def http_date(value: str) -> float | None:
    """Read an HTTP date as seconds since the epoch, or None."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def checked_proxy(proxy: str | None) -> str | None:
    """Refuse a proxy setting that cannot be one, without quoting it: it may hold a password."""
    if proxy is not None and urlsplit(str(proxy)).scheme not in {"http", "https", "socks5", "socks5h"}:
        raise ConfigurationError("proxy must be a URL such as 'http://proxy.example:8080'")
    return proxy
