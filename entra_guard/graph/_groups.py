"""Resolve a user's groups through Microsoft Graph where a token has more than it can carry.

Known groups are returned at once and renewed in the background; each caller's are requested once at a time.
Microsoft: "Groups overage claim". The URL in such a token is that of a retired API and is never called.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

import cachetools
from msgspec.structs import replace

from entra_guard._common.after_fork import reset_after_fork
from entra_guard._common.arguments import (
    check_count,
    check_flags,
    check_seconds,
    known_arguments,
    parameter_names,
)
from entra_guard._common.boundary import public
from entra_guard._common.guid import is_guid
from entra_guard._common.logs import get_logger
from entra_guard._common.single_flight import NoThreadError, SingleFlight, wait, wait_async
from entra_guard._common.time_limit import time_limit
from entra_guard._common.worker_pool import OUTBOUND
from entra_guard.credentials._azure import adapted, needs_event_loop
from entra_guard.errors import (
    AccessError,
    ConfigurationError,
    EntraGuardError,
    FetchError,
    KeysUnavailableError,
    refusal,
)
from entra_guard.graph._client import GraphClient
from entra_guard.graph._outages import OutageMemory, is_outage, repeated
from entra_guard.graph._pages import PageTrail, items_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from entra_guard.principal import Principal

log: Final = get_logger("entra_guard.graph")

_CACHE_SIZE: Final = 20_000
_MOST_GROUPS: Final = 11_000  # Graph itself returns no more (Microsoft: "directoryObject: getMemberObjects")
_FETCH_SECONDS: Final = 30.0  # for all pages and retries of one caller, on its own thread

Groups = frozenset[str]


class Member(Protocol):
    """Whose groups are requested: a `Principal`, or anything with the same attributes."""

    @property
    def tenant_id(self) -> str: ...
    @property
    def object_id(self) -> str: ...
    @property
    def is_app(self) -> bool | None: ...
    @property
    def groups(self) -> Iterable[str]: ...
    @property
    def claims(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A caller's groups, and until when they need no renewal, in monotonic seconds."""

    groups: Groups
    fresh_until: float


def has_overage(claims: Mapping[str, Any]) -> bool:
    """Return whether a token says that its caller has more groups than it names.

    Args:
        claims: The claims of a verified token.

    Example:
        >>> has_overage({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {}}})
        True
    """
    names = claims.get("_claim_names")
    return (isinstance(names, dict) and "groups" in names) or claims.get("hasgroups") in (True, "true")


class GroupResolver:
    """The groups of verified callers, with those that their tokens could not carry.

    The credential's application needs GroupMember.Read.All, and User.Read.All for users. A caller whose
    groups are known does not wait for Graph: they are used for up to `max_stale` seconds, and renewed in the
    background when they are older than `refresh`. While Graph is down, other callers fail at once.

    Args:
        credential: Of an application in the tenant of the callers.
        security_enabled_only: Omit distribution lists, directory roles and administrative units.
        refresh: Seconds after which known groups are renewed in the background.
        max_stale: Seconds after which known groups are not used any more.
        wait: The most seconds that a caller without known groups waits.
        cache_size: The largest number of callers whose groups are cached.
        monotonic: Returns seconds that only increase.
        graph: More arguments of `GraphClient`.

    Raises:
        ConfigurationError: A setting cannot work.

    Example:
        >>> guard = Guard(tenant="contoso.com", audience="api://orders", groups=GroupResolver(credential))
    """

    @public
    @known_arguments(*parameter_names(GraphClient.__init__))
    def __init__(
        self,
        credential: Any,
        *,
        security_enabled_only: bool = False,
        refresh: float = 300.0,
        max_stale: float = 3600.0,
        wait: float = 3.0,
        cache_size: int = _CACHE_SIZE,
        monotonic: Callable[[], float] = time.monotonic,
        **graph: Any,
    ) -> None:
        check_flags(security_enabled_only=security_enabled_only)
        check_seconds("refresh", refresh)
        check_seconds("wait", wait)
        check_seconds("max_stale", max_stale, least=refresh)
        check_count("cache_size", cache_size)
        ours = adapted(credential)
        if needs_event_loop(ours):
            raise ConfigurationError(
                f"{type(credential).__name__} is an async credential, and groups are requested on a thread: "
                "use the credential of the same name from azure.identity"
            )
        graph.setdefault("timeout", _FETCH_SECONDS)
        self._graph = GraphClient(ours, **graph)
        tenant = ours.tenant_id
        self._tenant = tenant if is_guid(tenant) else ""
        self._client_id = str(getattr(ours, "client_id", ""))
        self._body = {"securityEnabledOnly": security_enabled_only}
        self._refresh = refresh
        self._max_stale = max_stale
        self._wait = wait
        self._cache_size = cache_size
        self._monotonic = monotonic
        self._in_flight: SingleFlight[str, Groups] = SingleFlight(OUTBOUND)
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Start with empty caches and a free lock, as a forked child must."""
        self._lock = threading.Lock()  # cachetools needs one for reading, too
        self._known: cachetools.TTLCache[str, _Resolved] = cachetools.TTLCache(
            self._cache_size, self._max_stale, timer=self._monotonic
        )
        self._failures = OutageMemory(self._monotonic)

    @public
    def groups_of(self, member: Member) -> Groups:
        """Return the object ids of a caller's groups: from the token, or else from Graph.

        Raises:
            GraphError: Graph refused.
            FetchError: There was no response in time.
            TokenAcquisitionError: There was no token.
        """
        pending = self._get_or_start(member)
        if isinstance(pending, frozenset):
            return pending
        try:
            return wait(pending, self._wait)
        except (TimeoutError, NoThreadError) as error:
            raise self._not_fetched(member, error) from None
        except EntraGuardError as error:
            raise repeated(error) from error.__cause__

    @public
    async def agroups_of(self, member: Member) -> Groups:
        """Return what `groups_of` returns, in a task of asyncio or trio; blocks no event loop."""
        pending = self._get_or_start(member)
        if isinstance(pending, frozenset):
            return pending
        try:
            return await wait_async(pending, self._wait)
        except (TimeoutError, NoThreadError) as error:
            raise self._not_fetched(member, error) from None
        except EntraGuardError as error:
            raise repeated(error) from error.__cause__

    def add_groups(self, principal: Principal) -> Principal:
        """Return a caller with all its groups; a guard with `groups=` calls this.

        Raises:
            InsufficientPermissionError: groups_overage: Graph refuses to return them.
            KeysUnavailableError: groups_unavailable: Graph cannot be reached now.
        """
        if not has_overage(principal.claims):
            return principal
        try:
            groups = self.groups_of(principal)
        except EntraGuardError as error:
            raise self._access_error(error, principal) from error
        return replace(principal, resolved_groups=tuple(sorted(groups)))

    async def add_groups_async(self, principal: Principal) -> Principal:
        """Return what `add_groups` returns; blocks no event loop."""
        if not has_overage(principal.claims):
            return principal
        try:
            groups = await self.agroups_of(principal)
        except EntraGuardError as error:
            raise self._access_error(error, principal) from error
        return replace(principal, resolved_groups=tuple(sorted(groups)))

    def _get_or_start(self, member: Member) -> Groups | Future[Groups]:
        """Return the known groups, or the request in flight to wait for.

        Raises:
            GraphError, FetchError, TokenAcquisitionError: The last request failed, and it is too soon for
                another one.
        """
        if not has_overage(member.claims):
            return frozenset(member.groups)
        if self._tenant and self._tenant.lower() != member.tenant_id.lower():
            raise ConfigurationError(
                f"groups of tenant {member.tenant_id} cannot be requested with a credential of {self._tenant}"
            )
        if not is_guid(member.object_id):
            raise ConfigurationError("the caller has no object id to request groups for")
        key = _key(member)
        with self._lock:
            known, failure = self._known.get(key), self._failures.current(key)
        if known is not None and (failure is not None or self._monotonic() < known.fresh_until):
            return known.groups
        if failure is not None:
            raise failure
        pending = self._in_flight.start(key, partial(self._fetch, key, _path(member)))
        return pending if known is None else known.groups

    def _fetch(self, key: str, path: str) -> Groups:
        """Request a caller's groups. One request at a time per caller, on its own thread."""
        with self._lock:
            known = self._known.get(key)
        requested_at = self._monotonic()
        if known is not None and requested_at < known.fresh_until:
            return known.groups  # another request ended while this one was started
        try:
            with time_limit(_FETCH_SECONDS):
                groups = frozenset(islice(_member_ids(self._graph, path, self._body), _MOST_GROUPS))
        except EntraGuardError as error:
            self._remember(key, error)
            raise
        with self._lock:
            self._failures.forget(key)
            if self._cache_size:
                self._known[key] = _Resolved(groups, requested_at + self._refresh)
        return groups

    def _remember(self, key: str, error: EntraGuardError) -> None:
        """Remember a failure; forget the groups of a caller whom Graph does not know any more."""
        with self._lock:
            self._failures.remember(key, error)
            known = self._known.get(key) if is_outage(error) else self._known.pop(key, None)
        if known is not None:  # no caller waits for a renewal, so no caller gets the error
            kept = "the known ones are used" if is_outage(error) else "the known ones are forgotten"
            log.warning("groups of %s not renewed; %s: %s", key.rpartition("/")[2], kept, error)

    def _not_fetched(self, member: Member, error: Exception) -> FetchError:
        """Return the error for a caller that waited too long; others fail at once for a while."""
        timed_out = isinstance(error, TimeoutError)
        detail = f"no response within {self._wait:g} seconds" if timed_out else str(error)
        url = f"{self._graph.base_url}{_path(member)}"
        failure = FetchError("timeout" if timed_out else "connect", url, detail)
        with self._lock:
            self._failures.remember(_key(member), failure)
        return failure

    def _access_error(self, error: EntraGuardError, principal: Principal) -> AccessError:
        """Return the refusal of a caller whose groups are not available; its facts say why."""
        facts = {"object_id": principal.object_id, "app_id": principal.app_id, "detail": str(error)}
        if not is_outage(error):
            client = self._client_id  # whose permissions Graph checked
            return refusal("groups_overage", facts | ({"graph_app_id": client} if client else {}))
        delay = getattr(error, "retry_after", None)
        return KeysUnavailableError("groups_unavailable", facts, retry_after=max(1.0, delay or 0.0))

    def close(self) -> None:
        """Close the connections."""
        self._graph.close()


def _member_ids(graph: GraphClient, path: str, body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ids in a response and in the pages after it."""
    page, url, trail = graph.post(path, body), f"{graph.base_url}{path}", PageTrail()
    while True:
        yield from (str(identifier) for identifier in items_of(page))
        following = trail.next_url(page, url)
        if following is None:
            return
        page, url = graph.get(following), following


def _key(member: Member) -> str:
    return f"{member.tenant_id}/{member.object_id}".lower()


def _path(member: Member) -> str:
    kind = "servicePrincipals" if member.is_app else "users"
    return f"/{kind}/{member.object_id}/getMemberObjects"
