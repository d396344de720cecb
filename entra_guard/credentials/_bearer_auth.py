"""Put tokens on the requests of httpx and httpx2 clients, sync and async.

The credential fetches the token; no request for it is yielded here: yielded requests appear in
`response.history`, and the token would appear with them.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from entra_guard._common.boundary import detach, public
from entra_guard._common.http import is_safe
from entra_guard._common.logs import get_logger
from entra_guard.credentials._azure import adapted
from entra_guard.credentials._base import check_scopes
from entra_guard.credentials._challenge import requested_claims
from entra_guard.credentials._origin import Hosts, origin_of
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable

    _Auth = httpx.Auth
else:
    _bases = (httpx.Auth,)
    with contextlib.suppress(ImportError):
        # httpx2 accepts no auth of another library: the class is both where both are installed.
        import httpx2

        _bases = (httpx.Auth, httpx2.Auth)
    _Auth = type("_Auth", _bases, {})

log: Final = get_logger("entra_guard.credentials")
_UNAUTHORIZED: Final = 401
_MAX_REPORTED: Final = 100


class BearerAuth(_Auth):
    """Authorize requests with a credential's tokens, and satisfy a claims challenge once.

    Tokens go to https hosts only (or this machine), only to those in `hosts` if that is given, and do not
    follow a redirect to another host. A body that is a stream or multipart cannot be sent twice: there the
    401 is returned, and the next request has the new token. If a challenge yields no new token, the
    `TokenAcquisitionError` that says why is raised instead of returning the 401.

    A client with a proxy from the environment (HTTP_PROXY) sends plain http to this machine through that
    proxy, too, with the token: set NO_PROXY=localhost,127.0.0.1, or give the client `trust_env=False`.

    Args:
        credential: One of ours, or any of azure-identity's.
        scopes: What the tokens are for.
        hosts: The only hosts that get a token, each with its port where that is not the scheme's own. A
            request to another host goes out without a token; a warning is logged once per host.

    Raises:
        ConfigurationError: There is no scope, or a value is not a host or not a credential.

    Example:
        >>> auth = BearerAuth(credential, "https://graph.microsoft.com/.default")
        >>> client = httpx.AsyncClient(auth=auth)
    """

    @public
    def __init__(self, credential: Any, *scopes: str, hosts: Iterable[str] | None = None) -> None:
        check_scopes(scopes)
        self._credential = adapted(credential)
        self._scopes = scopes
        self._hosts = None if hosts is None else Hosts(hosts)
        self._reported: dict[str, object] = {}  # setdefault, so that one of several threads logs

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Authorize one request of a sync client."""
        try:
            if not self._gets_token(request.url):
                yield request
                return
            token = self._credential.get_token(*self._scopes).token
            response = yield _with_token(request, token)
            claims = _requested_claims(request, response)
            if claims is None:
                return
            other = self._credential.get_token(*self._scopes, claims=claims, rejected=token).token
            if other != token and _can_be_sent_again(request):
                yield _with_token(request, other)
        except GeneratorExit:  # the client failed
            pass
        except BaseException as error:
            token = other = ""  # this frame may stay in the traceback
            detach(error)
            raise
        else:
            return
        _detach_handled_error()

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Authorize one request of an async client."""
        try:
            if not self._gets_token(request.url):
                yield request
                return
            token = (await self._credential.aget_token(*self._scopes)).token
            response = yield _with_token(request, token)
            claims = _requested_claims(request, response)
            if claims is None:
                return
            other = (await self._credential.aget_token(*self._scopes, claims=claims, rejected=token)).token
            if other != token and _can_be_sent_again(request):
                yield _with_token(request, other)
        except GeneratorExit:  # as above
            pass
        except BaseException as error:
            token = other = ""
            detach(error)
            raise
        else:
            return
        _detach_handled_error()

    @public
    def headers_for(self, url: str) -> dict[str, str]:
        """Return the header for one request of a client without `httpx.Auth`, such as those of requests.

        Some of them call this again at each hop of a redirect, to any host: so `hosts=` is required here.

        Args:
            url: The URL of the request.

        Returns:
            The Authorization header; nothing if the URL's host gets no token.

        Raises:
            ConfigurationError: The auth has no `hosts`, or the token would be sent unencrypted.
            TokenAcquisitionError: There is no token.

        Example:
            >>> auth = credential.auth(scope, hosts=["graph.microsoft.com"])
            >>> auth.headers_for("https://elsewhere.example/")
            {}
        """
        if not self._gets_token_elsewhere(url):
            return {}
        return {"Authorization": f"Bearer {self._credential.get_token(*self._scopes).token}"}

    @public
    async def aheaders_for(self, url: str) -> dict[str, str]:
        """Return what `headers_for` returns, in an event loop: for aiohttp."""
        if not self._gets_token_elsewhere(url):
            return {}
        return {"Authorization": f"Bearer {(await self._credential.aget_token(*self._scopes)).token}"}

    def _gets_token_elsewhere(self, url: str) -> bool:
        """Return whether another library's request gets a token: not if it may read the URL differently."""
        if self._hosts is None:
            raise ConfigurationError("give the hosts that get a token: credential.auth(scope, hosts=[...])")
        parsed = _unambiguous(url)
        if parsed is None:
            self._report_once("", "No token is sent to a URL that HTTP clients may read in different ways.")
            return False
        return self._gets_token(parsed)

    def _gets_token(self, url: httpx.URL) -> bool:
        """Return whether a URL's host gets a token.

        Raises:
            ConfigurationError: The token would be sent unencrypted.
        """
        origin = origin_of(url)
        if self._hosts is not None and origin not in self._hosts:
            name = self._hosts.name_of(origin)
            text = (
                f"No token is sent to {name}: hosts={self._hosts.names} does not name it. "
                f"Add {name!r} if intended."
            )
            self._report_once(name, text)
            return False
        if not is_safe(str(url)):
            raise ConfigurationError(
                f"a token is sent over https only (or http on this machine), not to {url.scheme}://"
                f"{origin.host}: use https, or a client without this auth"
            )
        return True

    def _report_once(self, host: str, text: str) -> None:
        """Log a warning once per host. URLs may come from others, so the number of hosts is bounded."""
        mark = object()
        if len(self._reported) < _MAX_REPORTED and self._reported.setdefault(host, mark) is mark:
            log.warning("%s", text)


def _detach_handled_error() -> None:
    """Empty the finished frames of the client's error: those of HTTP libraries hold the request's headers."""
    if (error := sys.exception()) is not None:
        detach(error)


def _unambiguous(url: str) -> httpx.URL | None:
    """Return a URL that all HTTP clients send to the same host; None for any other."""
    try:
        parsed = httpx.URL(url)
        plain = "\\" not in url and not parsed.userinfo
        same = plain and urlsplit(url).hostname == parsed.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError):
        return None
    return parsed if same else None


def _with_token(request: httpx.Request, token: str) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {token}"
    return request


def _requested_claims(request: httpx.Request, response: httpx.Response) -> str | None:
    """Return the claims challenge in a response of the requested host itself, not of a redirect's target."""
    if response.status_code != _UNAUTHORIZED or origin_of(response.request.url) != origin_of(request.url):
        return None
    return requested_claims(response.headers.get_list("www-authenticate"))


def _can_be_sent_again(request: httpx.Request) -> bool:
    """Return whether the body is in memory; a stream that was sent cannot be sent again."""
    return hasattr(request, "_content")
