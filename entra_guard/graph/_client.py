"""A thin client of Microsoft Graph: drives the conversations, in threads and in event loops."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from entra_guard._common.boundary import public
from entra_guard._common.http import errors_by_step, new_async_client, new_client
from entra_guard._common.lazy_client import LazyClient
from entra_guard._common.version import user_agent
from entra_guard._keys.authority import CLOUDS
from entra_guard.credentials import BearerAuth
from entra_guard.credentials._azure import adapted
from entra_guard.credentials._chain import members_of
from entra_guard.errors import ConfigurationError, FetchError, TokenAcquisitionError
from entra_guard.graph._batch import ask_all
from entra_guard.graph._pages import items_of, next_page
from entra_guard.graph._retry import Ask, Patience, Pause, ask
from entra_guard.graph._urls import address_of, checked_version, url_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
    from types import TracebackType

    import httpx

    from entra_guard.credentials._base import BaseCredential
    from entra_guard.graph._batch import BatchAnswer, BatchRequest
    from entra_guard.graph._retry import Conversation, Said

    Params = Mapping[str, str] | None
    Headers = Mapping[str, str] | None

T = TypeVar("T")

_STEP_SECONDS: Final = 30.0
"""Limit of each step of a request, in clients of our own."""


class GraphClient:
    """Calls Microsoft Graph with a credential's tokens; the methods with an `a` do so in an event loop.

    Answers are JSON as Graph sends it, or None where it sends nothing. What Graph throttles is sent again
    after the time it asks for, a bounded number of times.

    Args:
        credential: One of `entra_guard.credentials`, or of azure-identity.
        cloud: 'public', 'us-government' or 'china'; by default the credential's own, else public.
        base_url: Another host, as 'https://dod-graph.microsoft.us' or an emulator's.
        scope: What the tokens are for; by default '<host>/.default'.
        version: 'v1.0' or 'beta'.
        http_client: For the plain methods, any `httpx.Client`.
        async_http_client: For the methods with an `a`, any `httpx.AsyncClient`.
        tries: How often a request is sent at the most.
        longest_wait: Seconds between tries at the most; if Graph asks for more, the error comes at once.

    Raises:
        ConfigurationError: The cloud is unknown or its Graph is, a chain's credentials are of several, or a
            setting cannot work.

    Example:
        >>> with GraphClient(credential) as graph:  # doctest: +SKIP
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
    ) -> None:
        _check_patience(tries, longest_wait)
        ours = adapted(credential)
        address = address_of(_graph_of(cloud or _cloud_of(ours)) if base_url is None else base_url)
        self.base_url: Final = f"{address}/{checked_version(version)}"
        host = address.partition("://")[2]
        self._auth = BearerAuth(ours, scope or f"{address}/.default", hosts=[host])
        self._patience = Patience(tries, longest_wait)
        self._client = LazyClient(http_client, partial(new_client, total=_STEP_SECONDS))
        self._given_async = async_http_client
        self._of_loop: RunVar[httpx.AsyncClient | None] = RunVar(f"entra_guard.graph {id(self)}", None)

    def __repr__(self) -> str:
        return f"<GraphClient {self.base_url}>"

    # --- one request -----------------------------------------------------------------------------------

    @public
    def get(self, path: str, params: Params = None, headers: Headers = None) -> Any:
        """GET an object, or one page of a collection.

        Args:
            path: Such as '/users/alice@contoso.com'.
            params: Such as {"$select": "id,displayName"}.
            headers: More headers, such as {"ConsistencyLevel": "eventual"}.

        Raises:
            GraphError: Graph refused.
            FetchError: There was no answer.
            TokenAcquisitionError: There was no token to ask with.
        """
        return self._drive(self._asking("GET", path, params, None, headers))

    @public
    async def aget(self, path: str, params: Params = None, headers: Headers = None) -> Any:
        """Do what `get` does."""
        return await self._adrive(self._asking("GET", path, params, None, headers))

    @public
    def post(self, path: str, json: Any = None, headers: Headers = None) -> Any:
        """POST JSON. Raises what `get` does."""
        return self._drive(self._asking("POST", path, None, json, headers))

    @public
    async def apost(self, path: str, json: Any = None, headers: Headers = None) -> Any:
        """Do what `post` does."""
        return await self._adrive(self._asking("POST", path, None, json, headers))

    @public
    def patch(self, path: str, json: Any, headers: Headers = None) -> Any:
        """PATCH an object. Raises what `get` does."""
        return self._drive(self._asking("PATCH", path, None, json, headers))

    @public
    async def apatch(self, path: str, json: Any, headers: Headers = None) -> Any:
        """Do what `patch` does."""
        return await self._adrive(self._asking("PATCH", path, None, json, headers))

    @public
    def delete(self, path: str, headers: Headers = None) -> Any:
        """DELETE an object. Raises what `get` does."""
        return self._drive(self._asking("DELETE", path, None, None, headers))

    @public
    async def adelete(self, path: str, headers: Headers = None) -> Any:
        """Do what `delete` does."""
        return await self._adrive(self._asking("DELETE", path, None, None, headers))

    # --- many ------------------------------------------------------------------------------------------

    def iterate(self, path: str, params: Params = None, headers: Headers = None) -> Iterator[Any]:
        """Give the items of a collection, page by page as they are wanted.

        Raises:
            GraphError: Graph refused, the answer is no collection, or its next page is on another host.
        """
        url, seen = self._first(path, params)
        while url is not None:
            page = self._drive(ask(Ask("GET", url, headers=headers or {}), self._patience))
            yield from items_of(page)
            url = next_page(page, url, seen)

    async def aiterate(self, path: str, params: Params = None, headers: Headers = None) -> AsyncIterator[Any]:
        """Do what `iterate` does, with `async for`."""
        url, seen = self._first(path, params)
        while url is not None:
            page = await self._adrive(ask(Ask("GET", url, headers=headers or {}), self._patience))
            for item in items_of(page):
                yield item
            url = next_page(page, url, seen)

    def _first(self, path: str, params: Params) -> tuple[str | None, set[str]]:
        """Where a collection begins, and the pages seen so far."""
        return self._url(path, params), set()

    @public
    def batch(self, requests: Iterable[BatchRequest]) -> list[BatchAnswer]:
        """Send many requests in few, twenty at a time, and return the answers in the same order.

        Raises nothing that only some of them met: what failed is in the answers, and raised by `result()`.

        Raises:
            ConfigurationError: A path is a whole URL.

        Example:
            >>> answers = graph.batch(BatchRequest("GET", f"/users/{id}") for id in ids)  # doctest: +SKIP
            >>> [answer.result()["displayName"] for answer in answers]  # doctest: +SKIP
        """
        return self._drive(ask_all(list(requests), f"{self.base_url}/$batch", self._patience))

    @public
    async def abatch(self, requests: Iterable[BatchRequest]) -> list[BatchAnswer]:
        """Do what `batch` does."""
        return await self._adrive(ask_all(list(requests), f"{self.base_url}/$batch", self._patience))

    # --- driving ---------------------------------------------------------------------------------------

    def _asking(
        self, method: str, path: str, params: Params, json: Any, headers: Headers
    ) -> Conversation[Any]:
        return ask(Ask(method, self._url(path, params), json, headers or {}), self._patience)

    def _url(self, path: str, params: Params) -> str:
        return url_of(self.base_url, path, params)

    @public
    def _drive(self, conversation: Conversation[T]) -> T:
        said: Said = None
        while True:
            try:
                step = conversation.send(said)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                said = None
            else:
                said = self._send(step)

    @public
    async def _adrive(self, conversation: Conversation[T]) -> T:
        said: Said = None
        while True:
            try:
                step = conversation.send(said)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Pause):
                await anyio.sleep(step.seconds)
                said = None
            else:
                said = await self._asend(step)

    def _send(self, wanted: Ask) -> Said:
        try:
            with errors_by_step(wanted.url):
                client = self._client()
                return client.request(**self._arguments(wanted, client))
        except (FetchError, TokenAcquisitionError) as error:
            return error

    async def _asend(self, wanted: Ask) -> Said:
        try:
            with errors_by_step(wanted.url):
                client = await self._async_client()
                return await client.request(**self._arguments(wanted, client))
        except (FetchError, TokenAcquisitionError) as error:
            return error

    def _arguments(self, wanted: Ask, client: httpx.Client | httpx.AsyncClient) -> dict[str, Any]:
        return {
            "method": wanted.method,
            "url": wanted.url,
            "json": wanted.json,
            "headers": {"accept": "application/json", "user-agent": user_agent(client), **wanted.headers},
            "auth": self._auth,
            "follow_redirects": False,
        }

    # --- clients ---------------------------------------------------------------------------------------

    async def _async_client(self) -> httpx.AsyncClient:
        """The client of the event loop that is running: its connections belong to that loop."""
        client = self._given_async or self._of_loop.get()
        if client is not None and not client.is_closed:
            return client
        # Reading the trusted certificates takes tens of milliseconds, which no event loop has.
        made = await anyio.to_thread.run_sync(partial(new_async_client, total=_STEP_SECONDS))
        client = self._of_loop.get()
        if client is None or client.is_closed:  # as it is still, unless another task was quicker
            self._of_loop.set(made)
            return made
        return client

    def close(self) -> None:
        """Close the connections of the plain methods."""
        self._client.close()

    async def aclose(self) -> None:
        """Close the connections that were made in this event loop, and those of the plain methods."""
        client = self._of_loop.get()
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


def _check_patience(tries: object, longest_wait: object) -> None:
    numbers = type(tries) is int and isinstance(longest_wait, int | float)
    if not numbers or not (tries >= 1 and 0 <= longest_wait < float("inf")):  # type: ignore[operator]
        raise ConfigurationError("tries is 1 or more, and longest_wait a number of seconds")


def _cloud_of(credential: BaseCredential) -> str:
    """The cloud whose authority a credential asks, where that is one of Microsoft's with a known Graph."""
    authorities = {each.authority for each in members_of(credential)} - {""}
    if len(authorities) > 1:
        raise ConfigurationError(
            f"the credentials of this chain are of several authorities ({', '.join(sorted(authorities))}): "
            "say which Graph is meant by cloud= or base_url="
        )
    return next((name for name, cloud in CLOUDS.items() if {cloud.authority} == authorities), "public")


def _graph_of(name: str) -> str:
    cloud = CLOUDS.get(name)
    if cloud is None:
        raise ConfigurationError(f"cloud must be one of {', '.join(CLOUDS)}")
    if not cloud.graph:
        raise ConfigurationError(f"the Graph of the cloud {name!r} is not published: give its base_url")
    return cloud.graph
