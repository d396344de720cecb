"""Client of Microsoft Graph: sends requests, and waits between retries, in threads and in event loops."""

from __future__ import annotations

import time
from functools import partial
from json import dumps
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import anyio
import anyio.to_thread
import httpx
from anyio.lowlevel import current_token

from entra_guard._common.boundary import public
from entra_guard._common.http import errors_by_step, is_loopback, new_async_client, new_client
from entra_guard._common.lazy_client import LazyClient
from entra_guard._common.time_limit import time_limit
from entra_guard._common.version import user_agent
from entra_guard._keys.authority import CLOUDS
from entra_guard.credentials import BearerAuth
from entra_guard.credentials._azure import adapted
from entra_guard.credentials._chain import members_of
from entra_guard.credentials._origin import origin_of
from entra_guard.credentials._settings import is_client
from entra_guard.errors import ConfigurationError, FetchError, TokenAcquisitionError
from entra_guard.graph._batch import send_batches
from entra_guard.graph._pages import PageTrail, items_of
from entra_guard.graph._retry import GraphRequest, Pause, RetryPolicy, send_with_retries
from entra_guard.graph._urls import address_of, checked_version, is_raw_value, url_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
    from types import TracebackType

    from entra_guard.credentials._base import BaseCredential
    from entra_guard.graph._batch import BatchRequest, BatchResponse
    from entra_guard.graph._retry import RequestFlow, SendResult

    Params = Mapping[str, object] | None
    Headers = Mapping[str, str] | None

T = TypeVar("T")

_STEP_SECONDS: Final = 30.0  # limit of each step of a request, in clients of our own


class GraphClient:
    """Calls Microsoft Graph with a credential's tokens; the methods with an `a` do so in an event loop.

    Methods return JSON as Graph sends it, None if it sends nothing, and bytes for paths that end in
    `/$value`. A request that Graph throttles is sent again after its Retry-After.

    Args:
        credential: One of `entra_guard.credentials`, or of azure-identity.
        cloud: 'public', 'us-government' or 'china'; by default the credential's own, else public.
        base_url: Another host, as 'https://dod-graph.microsoft.us' or an emulator's.
        scope: What the tokens are for; by default '<host>/.default', or the cloud's Graph for an emulator (a
            host on this machine, or the same one as the credential's authority).
        version: 'v1.0' or 'beta'.
        http_client: For the methods without an `a`, any `httpx.Client`.
        async_http_client: For the methods with an `a`, any `httpx.AsyncClient`.
        tries: How often a request is sent at most.
        longest_wait: The most seconds between two tries; if Graph requires more, its error is raised at once.
        timeout: The most seconds for one call, with all tries, pauses and the wait for a token; for `iterate`
            and `batch`, for each page and each twenty requests.

    Raises:
        ConfigurationError: The cloud or its Graph is unknown, a chain's credentials are of several clouds, or
            a setting cannot work.

    Example:
        >>> with GraphClient(credential) as graph:
        ...     for user in graph.iterate("/users", {"$select": "id,displayName"}):
        ...         print(user["displayName"])
    """

    @public
    def __init__(
        self,
        credential: Any,
        *,
        cloud: str | None = None,
        base_url: str | None = None,
        scope: str | None = None,
        version: str = "v1.0",
        http_client: httpx.Client | None = None,
        async_http_client: httpx.AsyncClient | None = None,
        tries: int = 4,
        longest_wait: float = 30.0,
        timeout: float = 60.0,
    ) -> None:
        if http_client is not None and not is_client(http_client):
            raise ConfigurationError(
                f"http_client must be an httpx.Client, got {type(http_client).__name__}: "
                "an AsyncClient is async_http_client"
            )
        self._policy = RetryPolicy(tries, longest_wait, timeout)
        ours = adapted(credential)
        address = address_of(_graph_of(cloud or _cloud_of(ours)) if base_url is None else base_url)
        self.base_url: Final = f"{address}/{checked_version(version)}"
        host = address.partition("://")[2]
        self._auth = BearerAuth(ours, scope or _default_scope(address, cloud, ours), hosts=[host])
        self._client = LazyClient(http_client, partial(new_client, total=_STEP_SECONDS))
        self._given_async = async_http_client
        self._of_loop: dict[object, httpx.AsyncClient] = {}

    def __repr__(self) -> str:
        return f"<GraphClient {self.base_url}>"

    # --- one request -----------------------------------------------------------------------------------

    @public
    def get(self, path: str, params: Params = None, headers: Headers = None) -> Any:
        """GET an object, one page of a collection, or the bytes of a `/$value`.

        Args:
            path: Such as '/users/alice@contoso.com'.
            params: Such as {"$select": ["id", "displayName"], "$count": True}.
            headers: More headers, such as {"ConsistencyLevel": "eventual"}.

        Raises:
            GraphError: Graph refused.
            FetchError: There was no response in time.
            TokenAcquisitionError: There was no token.
            ConfigurationError: A parameter has no OData form, or the path is a URL of another host.
        """
        return self._drive(self._flow("GET", path, params, None, headers))

    @public
    async def aget(self, path: str, params: Params = None, headers: Headers = None) -> Any:
        """Return what `get` returns."""
        return await self._adrive(self._flow("GET", path, params, None, headers))

    @public
    def post(self, path: str, json: Any = None, headers: Headers = None) -> Any:
        """POST JSON. Raises what `get` does."""
        return self._drive(self._flow("POST", path, None, json, headers))

    @public
    async def apost(self, path: str, json: Any = None, headers: Headers = None) -> Any:
        """Return what `post` returns."""
        return await self._adrive(self._flow("POST", path, None, json, headers))

    @public
    def patch(self, path: str, json: Any, headers: Headers = None) -> Any:
        """PATCH an object. Raises what `get` does."""
        return self._drive(self._flow("PATCH", path, None, json, headers))

    @public
    async def apatch(self, path: str, json: Any, headers: Headers = None) -> Any:
        """Return what `patch` returns."""
        return await self._adrive(self._flow("PATCH", path, None, json, headers))

    @public
    def delete(self, path: str, headers: Headers = None) -> Any:
        """DELETE an object. Raises what `get` does."""
        return self._drive(self._flow("DELETE", path, None, None, headers))

    @public
    async def adelete(self, path: str, headers: Headers = None) -> Any:
        """Return what `delete` returns."""
        return await self._adrive(self._flow("DELETE", path, None, None, headers))

    # --- many ------------------------------------------------------------------------------------------

    def iterate(self, path: str, params: Params = None, headers: Headers = None) -> Iterator[Any]:
        """Yield the items of a collection; each page is requested when it is needed.

        Raises:
            GraphError: Graph refused, the response is not a collection, or its pages do not end.
        """
        url, trail = self._url(path, params), PageTrail()
        while True:
            page = self._drive(self._flow("GET", url, None, None, headers))
            yield from items_of(page)
            following = trail.next_url(page, url)
            if following is None:
                return
            url = following

    async def aiterate(self, path: str, params: Params = None, headers: Headers = None) -> AsyncIterator[Any]:
        """Yield what `iterate` yields, with `async for`."""
        url, trail = self._url(path, params), PageTrail()
        while True:
            page = await self._adrive(self._flow("GET", url, None, None, headers))
            for item in items_of(page):
                yield item
            following = trail.next_url(page, url)
            if following is None:
                return
            url = following

    @public
    def batch(self, requests: Iterable[BatchRequest]) -> list[BatchResponse]:
        """Send requests twenty at a time, and return the responses in the same order.

        Errors of single requests are in the responses, and raised by their `result()`.

        Raises:
            ConfigurationError: A path is a whole URL.

        Example:
            >>> found = graph.batch(BatchRequest("GET", f"/users/{id}") for id in ids)
            >>> [response.result()["displayName"] for response in found]
        """
        return self._drive(send_batches(list(requests), f"{self.base_url}/$batch", self._policy))

    @public
    async def abatch(self, requests: Iterable[BatchRequest]) -> list[BatchResponse]:
        """Return what `batch` returns."""
        return await self._adrive(send_batches(list(requests), f"{self.base_url}/$batch", self._policy))

    # --- sending ---------------------------------------------------------------------------------------

    def _flow(self, method: str, path: str, params: Params, json: Any, headers: Headers) -> RequestFlow[Any]:
        return send_with_retries(
            GraphRequest(method, self._url(path, params), json, headers or {}), self._policy
        )

    def _url(self, path: str, params: Params) -> str:
        return url_of(self.base_url, path, params)

    @public
    def _drive(self, flow: RequestFlow[T]) -> T:
        result: SendResult = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as end:
                outcome: T = end.value
                return outcome
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                result = None
            else:
                result = self._send(step)

    @public
    async def _adrive(self, flow: RequestFlow[T]) -> T:
        result: SendResult = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as end:
                outcome: T = end.value
                return outcome
            if isinstance(step, Pause):
                await anyio.sleep(step.seconds)
                result = None
            else:
                result = await self._asend(step)

    def _send(self, request: GraphRequest) -> SendResult:
        try:
            with time_limit(request.timeout), errors_by_step(request.url) as trace:
                client = self._client()
                return client.request(**self._arguments(request, client), extensions={"trace": trace})
        except (FetchError, TokenAcquisitionError) as error:
            return error

    async def _asend(self, request: GraphRequest) -> SendResult:
        try:
            with errors_by_step(request.url), anyio.fail_after(request.timeout):
                client = await self._async_client()
                return await client.request(**self._arguments(request, client))
        except (FetchError, TokenAcquisitionError) as error:
            return error

    def _arguments(self, request: GraphRequest, client: httpx.Client | httpx.AsyncClient) -> dict[str, Any]:
        accepted = "*/*" if is_raw_value(request.url) else "application/json"
        headers = httpx.Headers({"accept": accepted, "user-agent": user_agent(client)})
        body = None
        if request.json is not None:
            headers["content-type"] = "application/json"
            body = dumps(request.json, allow_nan=False)  # in ASCII: any text has such a form
        headers.update(request.headers)  # whatever the case of their names
        return {
            "method": request.method,
            "url": request.url,
            "content": body,
            "headers": headers,
            "auth": self._auth,
            "follow_redirects": False,
        }

    # --- clients ---------------------------------------------------------------------------------------

    async def _async_client(self) -> httpx.AsyncClient:
        """Return the client of the running event loop: connections belong to one loop."""
        if self._given_async is not None:
            return self._given_async
        loop = _event_loop()
        client = self._of_loop.get(loop)
        if client is not None and not client.is_closed:
            return client
        # Reading the trusted certificates takes tens of milliseconds: too long for an event loop.
        made = await anyio.to_thread.run_sync(partial(new_async_client, total=_STEP_SECONDS))
        client = self._of_loop.get(loop)
        if client is None or client.is_closed:  # unless another task was faster
            for ended in filter(_has_ended, list(self._of_loop)):
                self._of_loop.pop(ended, None)
            self._of_loop[loop] = client = made
        return client

    def close(self) -> None:
        """Close the connections of the methods without an `a`."""
        self._client.close()

    async def aclose(self) -> None:
        """Close the connections that were made in this event loop, and those of the other methods."""
        client = self._of_loop.pop(_event_loop(), None)
        if client is not None:
            await client.aclose()
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _event_loop() -> object:
    """Return what identifies the event loop that runs here."""
    token = current_token()
    return getattr(token, "native_token", token)  # older versions of anyio return it itself


def _has_ended(loop: object) -> bool:
    """Return whether an event loop has ended; False for trio, whose tokens do not say it."""
    is_closed = getattr(loop, "is_closed", None)
    return is_closed is not None and is_closed()


def _authorities(credential: BaseCredential) -> set[str]:
    return {each.authority for each in members_of(credential)} - {""}


def _cloud_of(credential: BaseCredential) -> str:
    """Return the cloud of a credential's authority; 'public' if it is none of Microsoft's."""
    authorities = _authorities(credential)
    if len(authorities) > 1:
        raise ConfigurationError(
            f"the credentials of this chain have several authorities ({', '.join(sorted(authorities))}): "
            "select the Graph by cloud= or base_url="
        )
    return next((name for name, cloud in CLOUDS.items() if {cloud.authority} == authorities), "public")


def _default_scope(address: str, cloud: str | None, credential: BaseCredential) -> str:
    """Return the scope for an address: that host's own, or the cloud's Graph if it is an emulator."""
    authorities = _authorities(credential)
    hosts = {origin_of(authority).host for authority in authorities}
    if not is_loopback(address) and origin_of(address).host not in hosts:
        return f"{address}/.default"
    named = cloud or next((name for name, each in CLOUDS.items() if each.authority in authorities), "public")
    return f"{_graph_of(named)}/.default"


def _graph_of(name: str) -> str:
    cloud = CLOUDS.get(name)
    if cloud is None:
        raise ConfigurationError(f"cloud must be one of {', '.join(CLOUDS)}, got {name!r:.40}")
    if not cloud.graph:
        raise ConfigurationError(
            f"the address of the Graph of the cloud {name!r} is not public: give base_url"
        )
    return cloud.graph
