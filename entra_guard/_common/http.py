"""HTTP exchanges with limits of size and time; errors name the step that failed.

Two time limits apply. Connecting gets 2 seconds, so that a host that is down is named while callers still
wait. A whole exchange gets 5, however slowly the server sends. Redirects are not followed: an authority has
no reason to send us elsewhere.
"""

from __future__ import annotations

import ipaddress
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from entra_guard._common.fork_lock import FORK_LOCK
from entra_guard._common.strict_json import NotStrictJsonError, read_object
from entra_guard._common.time_limit import time_left, time_limit
from entra_guard._common.version import user_agent
from entra_guard.errors import FetchError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator, Iterator, Mapping

    import httpx

CONNECT_TIMEOUT: Final = 2.0
TOTAL_TIMEOUT: Final = 5.0
DEFAULT_PORTS: Final = {"https": 443, "http": 80}
# Not "timeout": callers would wait twice as long.
STEPS_WORTH_RETRYING: Final = frozenset({"connect", "http"})


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response, read whole: its status, headers (lower case) and JSON object."""

    status: int
    headers: Mapping[str, str]
    document: dict[str, Any] = field(repr=False)

    @property
    def date(self) -> float | None:
        """The server's own time in seconds since the epoch, if it sent one."""
        return http_date(self.headers.get("date", ""))


def is_loopback(url: str) -> bool:
    """Return whether a URL can only mean this machine (RFC 6761 section 6.3, RFC 1122 section 3.2.1.3)."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_safe(url: str) -> bool:
    """Return whether a URL may be fetched: https, or http on this machine only."""
    try:
        parts = urlsplit(url)
        possible = parts.hostname and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:  # brackets without an address in them, or a port that is not a number below 65536
        return False
    return bool(possible) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url)))


def new_client(
    *,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
    direct: bool = False,
    total: float = TOTAL_TIMEOUT,
) -> httpx.Client:
    """Make an HTTP client. Imports httpx: `LazyClient` calls this when a guard or credential is constructed.

    Args:
        ssl_context: Trusts other authorities than the usual ones.
        proxy: URL of a proxy; by default those of the environment, except for this machine.
        direct: Use no proxy, as for endpoints on the host itself.
        total: Seconds for each step of an exchange, where `exchange` sets no other limit.

    Raises:
        ConfigurationError: The proxy, or a variable of the environment, cannot be used.
    """
    with FORK_LOCK:  # a child that is forked during an import would wait for the import's lock forever
        from entra_guard._common.client import make_client  # noqa: PLC0415  # it imports httpx

    return make_client(timeouts(total), ssl_context=ssl_context, proxy=proxy, direct=direct)


def new_async_client(*, total: float = TOTAL_TIMEOUT) -> httpx.AsyncClient:
    """Make an HTTP client for the event loop that runs; the arguments are those of `new_client`.

    Raises:
        ConfigurationError: A variable of the environment cannot be used.
    """
    with FORK_LOCK:
        from entra_guard._common.client import make_async_client  # noqa: PLC0415  # it imports httpx

    return make_async_client(timeouts(total))


def timeouts(seconds: float) -> tuple[float, float, float, float]:
    """Return limits for each step of an exchange (connect, read, write, pool), as httpx takes them."""
    return min(CONNECT_TIMEOUT, seconds), seconds, seconds, seconds


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
    """Send one request and read the JSON object in the response, whatever its status.

    Args:
        client: Our own client or the user's.
        method: GET or POST.
        url: Where to.
        limit: The maximum number of bytes to read.
        data: A form to send.
        headers: More headers.
        total: Seconds for all of it.
        platform: The endpoint is the host platform's own and speaks plain http, as for managed identities.

    Raises:
        FetchError: There was no response, or none that is a JSON object. A status without JSON fails at step
            "http".
    """
    if not (platform or is_safe(url)):
        raise FetchError("connect", url, "neither https nor http on this machine")
    trace = _Trace(url)
    with time_limit(total), errors_by_step(url, trace):
        request = client.build_request(
            method,
            url,
            data=data,
            headers={
                "user-agent": user_agent(client),
                **_PLAIN,
                **(headers or {}),
            },
            timeout=timeouts(total),
            extensions={"trace": trace},
        )
        response = client.send(request, stream=True, follow_redirects=False)
        try:
            body = _read_body(response, url, limit)
        finally:
            response.close()
    return Answer(response.status_code, dict(response.headers), _parsed(response, url, body))


# Nothing is decompressed here: a kilobyte of compressed zeros would be a megabyte in memory.
_PLAIN: Final = {"accept": "application/json", "accept-encoding": "identity"}


def _read_body(response: httpx.Response, url: str, limit: int) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise FetchError("content", url, "the response is compressed, which was not requested")
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > limit:
            raise FetchError("content", url, f"the response has more than {limit} bytes")
        time_left()  # a transport of the user's may ignore time-outs
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


class _Trace:
    """Follows an exchange (httpx's trace extension): which host it has reached, the URL's own or a proxy.

    It also applies the time limit to connections of the user's client: httpx's read time-out begins again
    with every byte that arrives.

    Attributes:
        host: The host that was reached last, for error texts.
        proxy: What our own client calls the proxy that it uses; empty if it uses none.
        scheme_hint: What to add where a server closes the connection without a response.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._wanted = self.host = parts.hostname or ""
        self.scheme_hint = "" if parts.scheme == "https" else ". Does the server expect https on this port?"
        self._connected = False
        self.proxy = ""

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Receive an event of httpcore."""
        if event.endswith("connect_tcp.started"):
            self.host = str(info["host"])
        elif event.endswith("start_tls.started"):
            self.host = str(info["server_hostname"])
        elif event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._connected = True
            _limit_reads(info["return_value"])

    def failure(self, usual: str, detail: str) -> tuple[str, str]:
        """Return the step and detail of a failed connection: the usual step, or "proxy" if that is down."""
        if self.proxy and not self._connected:
            return "proxy", f"the proxy cannot be reached, {self.proxy}: {detail}"
        return usual if self.host == self._wanted else "proxy", detail


def _limit_reads(stream: Any) -> None:
    """Let each read take what is left of the current exchange; reads outside of one are not changed."""
    read = stream.read

    def limited(max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = read(max_bytes, time_left(timeout))
        return data

    stream.read = limited


@contextmanager
def errors_by_step(url: str, trace: _Trace | None = None) -> Generator[_Trace]:
    """Raise the errors of httpx and httpx2 as FetchError, which names the step and the host.

    Yields:
        A trace for the extensions of a sync request: `time_limit` applies to the user's clients with it.
    """
    trace = trace or _Trace(url)
    try:
        yield trace
    except FetchError:
        raise
    except TimeoutError as error:
        raise FetchError("timeout", url, f"{trace.host} did not send the whole response in time") from error
    except Exception as error:
        kinds = {each.__name__ for each in type(error).__mro__ if each.__module__.startswith("httpx")}
        if not kinds & {"HTTPError", "InvalidURL"}:
            raise
        raise _by_step(url, trace, error, kinds) from error


def _by_step(url: str, trace: _Trace, error: Exception, kinds: set[str]) -> FetchError:
    name = type(error).__name__
    if "ConnectTimeout" in kinds:
        step, detail = trace.failure("timeout", f"{trace.host} did not respond in time ({name})")
    elif "TimeoutException" in kinds:
        step, detail = "timeout", f"{trace.host} did not respond in time ({name})"
    elif "ProxyError" in kinds:
        step, detail = "proxy", f"the proxy refused, {trace.proxy or trace.host}: {error}"
    elif "InvalidURL" in kinds:
        step, detail = "connect", f"not a URL: {error}"
    else:
        step, detail = _network_failure(trace, error, connecting="ConnectError" in kinds)
    return FetchError(step, url, detail)


def _network_failure(trace: _Trace, error: Exception, *, connecting: bool) -> tuple[str, str]:
    """Return the step and detail of an error, by the errors behind it."""
    import socket  # noqa: PLC0415  # httpx has loaded both, and `import entra_guard` need not
    import ssl  # noqa: PLC0415

    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return "tls", f"{trace.host}: {_tls_detail(cause)}"
        if isinstance(cause, socket.gaierror):
            return trace.failure("dns", f"the host name {trace.host} does not resolve ({cause.strerror})")
    name = type(error).__name__
    if connecting:
        return trace.failure("connect", f"{trace.host}: {error or name}")
    return "http", f"the exchange failed ({name}){trace.scheme_hint}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _tls_detail(error: ssl.SSLError) -> str:
    detail = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error.args[-1])
    words = detail.lower().replace("-", " ")
    if any(name in words for name in ("basic constraints", "key identifier", "key usage")):
        return (
            f"{detail}. Python 3.13 and later check certificates strictly (ssl.VERIFY_X509_STRICT): reissue "
            "the CA's certificate, or pass an ssl_context without that flag"
        )
    if "self signed" in words or "unable to get local issuer" in words:
        return (
            f"{detail}. With a private CA or a TLS-inspecting proxy, pass ssl_context= or set SSL_CERT_FILE"
        )
    if detail in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return f"{detail}. Does the port speak plain HTTP? Check port and scheme, also a proxy's"
    return detail


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Parse Retry-After as seconds from now (RFC 9110 section 10.2.3), or return None."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    moment = http_date(value)
    return None if moment is None else max(0.0, moment - (time.time() if now is None else now))


def http_date(value: str) -> float | None:
    """Parse an HTTP date as seconds since the epoch, or return None."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  # httpx has loaded it

    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
