"""Puts tokens on the requests of httpx and httpx2 clients, sync and async; translates and keeps nothing.

The token is fetched by the credential, never by a request yielded here: what is yielded ends up in
`response.history`, and a token would with it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from entra_guard._common.http import is_safe
from entra_guard._common.logs import get_logger
from entra_guard.credentials._azure import adapted
from entra_guard.credentials._base import check_scopes
from entra_guard.credentials._challenge import claims_asked
from entra_guard.credentials._origin import Hosts, origin_of
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable

    _Auth = httpx.Auth
else:
    _bases = (httpx.Auth,)
    with contextlib.suppress(ImportError):
        # httpx2 takes no auth of another library: the class is both where both are installed.
        import httpx2

        _bases = (httpx.Auth, httpx2.Auth)
    _Auth = type("_Auth", _bases, {})

log: Final = get_logger("entra_guard.credentials")
_UNAUTHORIZED: Final = 401
_MAX_REPORTED: Final = 100


class BearerAuth(_Auth):
    """Authorizes requests with a credential's tokens, and answers a claims challenge once.

    Tokens go to https hosts only (or this machine), to those named if any are, and not along with a
    redirect to another host. A body that is a stream or multipart is gone once it was sent: there the 401
    stands, and the next request has the new token. Where no new token can be had, the caller gets the
    `TokenAcquisitionError` that says why, instead of the 401.

    A client with a proxy from the environment (HTTP_PROXY) sends plain http to this machine through that
    proxy too, token and all: set NO_PROXY=localhost,127.0.0.1, or give the client `trust_env=False`.

    Args:
        credential: One of ours, or any of azure-identity's.
        scopes: What the tokens are for.
        hosts: The only hosts that get a token, each with its port where that is not the scheme's own.
            A request to another host goes without a token; the first one per host is logged as a warning.

    Raises:
        ConfigurationError: No scope, something that is no host, or no credential.

    Example:
        >>> auth = BearerAuth(credential, "https://graph.microsoft.com/.default")  # doctest: +SKIP
        >>> httpx2.AsyncClient(auth=auth)  # doctest: +SKIP
    """

    def __init__(self, credential: Any, *scopes: str, hosts: Iterable[str] | None = None) -> None:
        check_scopes(scopes)
        self._credential = adapted(credential)
        self._scopes = scopes
        self._hosts = None if hosts is None else Hosts(hosts)
        self._reported: set[str] = set()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Authorize one request of a sync client."""
        if not self._wanted(request.url):
            yield request
            return
        token = self._credential.get_token(*self._scopes).token
        response = yield _with_token(request, token)
        claims = _claims_asked(request, response)
        if claims is None:
            return
        other = self._credential.get_token(*self._scopes, claims=claims, rejected=token).token
        if other != token and _can_go_again(request):
            yield _with_token(request, other)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Authorize one request of an async client."""
        if not self._wanted(request.url):
            yield request
            return
        token = (await self._credential.aget_token(*self._scopes)).token
        response = yield _with_token(request, token)
        claims = _claims_asked(request, response)
        if claims is None:
            return
        other = (await self._credential.aget_token(*self._scopes, claims=claims, rejected=token)).token
        if other != token and _can_go_again(request):
            yield _with_token(request, other)

    def headers_for(self, url: str) -> dict[str, str]:
        """The header for one request of a client that knows no `httpx.Auth`, such as those of requests.

        Some of them ask again at each hop of a redirect, whoever it leads to: so `hosts=` is required here.

        Args:
            url: Where that request goes.

        Returns:
            The Authorization header, or nothing where the URL's host gets no token.

        Raises:
            ConfigurationError: The auth names no `hosts`, or the token would travel in the clear.
            TokenAcquisitionError: There is none to be had.

        Example:
            >>> auth = credential.auth(scope, hosts=["graph.microsoft.com"])  # doctest: +SKIP
            >>> auth.headers_for("https://elsewhere.example/")  # doctest: +SKIP
            {}
        """
        if not self._wanted_elsewhere(url):
            return {}
        return {"Authorization": f"Bearer {self._credential.get_token(*self._scopes).token}"}

    async def aheaders_for(self, url: str) -> dict[str, str]:
        """Do what `headers_for` does, in an event loop: for aiohttp."""
        if not self._wanted_elsewhere(url):
            return {}
        return {"Authorization": f"Bearer {(await self._credential.aget_token(*self._scopes)).token}"}

    def _wanted_elsewhere(self, url: str) -> bool:
        """Whether a request of another library is to get a token: where it may read the URL otherwise, no."""
        if self._hosts is None:
            raise ConfigurationError("name the hosts that get a token: credential.auth(scope, hosts=[...])")
        parsed = _unambiguous(url)
        if parsed is None:
            self._report_once("", "No token is sent to a URL that HTTP clients may read in different ways.")
            return False
        return self._wanted(parsed)

    def _wanted(self, url: httpx.URL) -> bool:
        """Whether a URL's host is to get a token.

        Raises:
            ConfigurationError: It would travel in the clear.
        """
        origin = origin_of(url)
        if self._hosts is not None and origin not in self._hosts:
            name = self._hosts.name_of(origin)
            text = (
                f"No token is sent to {name}: hosts={self._hosts.names} does not name it. Add it if intended."
            )
            self._report_once(name, text)
            return False
        if not is_safe(str(url)):
            raise ConfigurationError(
                f"a token is only sent over https (or http on this machine), not to {url.scheme}://"
                f"{origin.host}: use https, or a client without this auth"
            )
        return True

    def _report_once(self, host: str, text: str) -> None:
        """Log a warning once per host. URLs may come from others, so the number of hosts is bounded."""
        if host not in self._reported and len(self._reported) < _MAX_REPORTED:
            self._reported.add(host)
            log.warning("%s", text)


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


def _claims_asked(request: httpx.Request, response: httpx.Response) -> str | None:
    """The claims challenge in an answer of the very host that was asked, not of one it redirected to."""
    if response.status_code != _UNAUTHORIZED or origin_of(response.request.url) != origin_of(request.url):
        return None
    return claims_asked(response.headers.get_list("www-authenticate"))


def _can_go_again(request: httpx.Request) -> bool:
    """Whether the body is at hand for a second time; a stream that was sent is gone, and the 401 stands."""
    return hasattr(request, "_content")
