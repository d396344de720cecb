"""A user's groups, asked of Microsoft Graph where a token has more than it can carry: kept, joined, bounded.

Microsoft: "Groups overage claim". The URL in such a token is that of a retired API and is never called.
"""

from __future__ import annotations

import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec.structs import replace

from entra_guard._common.boundary import public
from entra_guard._common.guid import is_guid
from entra_guard._common.logs import get_logger
from entra_guard._common.lru import LRUCache
from entra_guard._common.single_flight import SingleFlight, wait, wait_async
from entra_guard._common.worker_pool import OUTBOUND
from entra_guard.credentials._azure import adapted, needs_event_loop
from entra_guard.errors import (
    AccessError,
    ConfigurationError,
    EntraGuardError,
    FetchError,
    KeysUnavailableError,
    TokenAcquisitionError,
    refusal,
)
from entra_guard.graph._client import GraphClient
from entra_guard.graph._errors import GraphError
from entra_guard.graph._pages import items_of, next_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from entra_guard.principal import Principal

log: Final = get_logger("entra_guard.graph")

_REMEMBERED: Final = 20_000
_MOST_GROUPS: Final = 11_000
"""Graph itself answers with no more (Microsoft: "directoryObject: getMemberObjects")."""
_PATIENCE: Final = 30.0
_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429

Groups = frozenset[str]
_Known = tuple[float, Groups]


class Member(Protocol):
    """Whose groups are wanted: a `Principal`, or anything that tells the same."""

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


def has_overage(claims: Mapping[str, Any]) -> bool:
    """Tell whether a token says that its caller has more groups than it names.

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

    The credential's application needs GroupMember.Read.All, and User.Read.All for users.

    Args:
        credential: Of an application in the tenant of the callers.
        security_enabled_only: Leave distribution lists, directory roles and administrative units out.
        keep: Seconds for which an answer counts.
        keep_in_outage: Seconds for which it counts while Graph does not answer.
        cache_size: How many callers' groups are kept at the most.
        monotonic: Seconds that only go forward.
        graph: More arguments of `GraphClient`.

    Raises:
        ConfigurationError: A setting that cannot work.

    Example:
        >>> groups = GroupResolver(credential)  # doctest: +SKIP
        >>> "aaaabbbb-0000-cccc-1111-dddd2222eeee" in groups.groups_of(principal)  # doctest: +SKIP
    """

    @public
    def __init__(
        self,
        credential: Any,
        *,
        security_enabled_only: bool = False,
        keep: float = 300.0,
        keep_in_outage: float = 3600.0,
        cache_size: int = _REMEMBERED,
        monotonic: Callable[[], float] = time.monotonic,
        **graph: Any,
    ) -> None:
        if keep < 0 or keep_in_outage < keep or cache_size < 0:
            words = (
                "keep and keep_in_outage are seconds, the second not less; cache_size is a number of callers"
            )
            raise ConfigurationError(words)
        ours = adapted(credential)
        if needs_event_loop(ours):
            raise ConfigurationError(
                f"{type(credential).__name__} is an async credential, and groups are asked for on a thread: "
                "take the one of the same name from azure.identity"
            )
        self._graph = GraphClient(ours, **graph)
        tenant = ours.tenant_id
        self._tenant = tenant if is_guid(tenant) else ""
        self._body = {"securityEnabledOnly": security_enabled_only}
        self._keep = keep
        self._keep_in_outage = keep_in_outage
        self._monotonic = monotonic
        self._known: LRUCache[str, _Known] = LRUCache(cache_size)
        self._work: SingleFlight[str, Groups] = SingleFlight(OUTBOUND)

    @public
    def groups_of(self, member: Member) -> Groups:
        """Tell the object ids of a caller's groups: as the token has them, or else as Graph does.

        Raises:
            GraphError: Graph refused.
            FetchError: There was no answer in time.
            TokenAcquisitionError: There was no token to ask with.
        """
        sought = self._seek(member)
        if isinstance(sought, frozenset):
            return sought
        try:
            return wait(sought, _PATIENCE)
        except (EntraGuardError, TimeoutError) as error:
            return self._in_outage(member, error)

    @public
    async def agroups_of(self, member: Member) -> Groups:
        """Do what `groups_of` does, in a task of asyncio or trio; blocks no event loop."""
        sought = self._seek(member)
        if isinstance(sought, frozenset):
            return sought
        try:
            return await wait_async(sought, _PATIENCE)
        except (EntraGuardError, TimeoutError) as error:
            return self._in_outage(member, error)

    def add_groups(self, principal: Principal) -> Principal:
        """Give a caller back with all its groups: what a guard that was given `groups=` asks for.

        Raises:
            InsufficientPermissionError: groups_overage: Graph refuses to tell them.
            KeysUnavailableError: groups_unavailable: nobody could tell them now.
        """
        if not has_overage(principal.claims):
            return principal
        try:
            groups = self.groups_of(principal)
        except EntraGuardError as error:
            raise _refused(error, principal) from error
        return replace(principal, resolved_groups=tuple(sorted(groups)))

    async def add_groups_async(self, principal: Principal) -> Principal:
        """Do what `add_groups` does, and block no event loop."""
        if not has_overage(principal.claims):
            return principal
        try:
            groups = await self.agroups_of(principal)
        except EntraGuardError as error:
            raise _refused(error, principal) from error
        return replace(principal, resolved_groups=tuple(sorted(groups)))

    def _seek(self, member: Member) -> Groups | Future[Groups]:
        """The groups at hand, or the work to wait for."""
        if not has_overage(member.claims):
            return frozenset(member.groups)
        if self._tenant and self._tenant.lower() != member.tenant_id.lower():
            raise ConfigurationError(
                f"groups of tenant {member.tenant_id} cannot be asked for with a credential of {self._tenant}"
            )
        if not is_guid(member.object_id):
            raise ConfigurationError("the caller has no object id to ask groups for")
        known = self._known.get(_key(member))
        if known is not None and self._monotonic() < known[0] + self._keep:
            return known[1]
        return self._work.start(_key(member), partial(self._ask, _key(member), _path(member)))

    def _ask(self, key: str, path: str) -> Groups:
        """Ask Graph. One at a time per caller, on a thread of its own."""
        known = self._known.get(key)
        asked_at = self._monotonic()
        if known is not None and asked_at < known[0] + self._keep:
            return known[1]  # somebody else was done while this caller was on its way
        groups = frozenset(islice(_members(self._graph, path, self._body), _MOST_GROUPS))
        self._known.put(key, (asked_at, groups))
        return groups

    def _in_outage(self, member: Member, error: Exception) -> Groups:
        """What was known, while it is not too old; or the error."""
        known = self._known.get(_key(member))
        recent = known is not None and self._monotonic() < known[0] + self._keep_in_outage
        if known is not None and recent and _is_outage(error):
            log.warning("groups of %s not renewed, the ones known stay: %s", member.object_id, error)
            return known[1]
        if isinstance(error, TimeoutError):
            self._work.abandon(_key(member))
            url = f"{self._graph.base_url}{_path(member)}"
            raise FetchError("timeout", url, f"no answer in {_PATIENCE:.0f} seconds") from None
        raise error

    def close(self) -> None:
        """Close what connections there are."""
        self._graph.close()


def _members(graph: GraphClient, path: str, body: Mapping[str, Any]) -> Iterator[str]:
    """The ids in an answer and in the pages after it."""
    page, url, seen = graph.post(path, body), f"{graph.base_url}{path}", set[str]()
    while True:
        yield from (str(identifier) for identifier in items_of(page))
        following = next_page(page, url, seen)
        if following is None:
            return
        page, url = graph.get(following), following


def _refused(error: EntraGuardError, principal: Principal) -> AccessError:
    """The answer to a caller whose groups cannot be had; the operator is told why."""
    facts = {"object_id": principal.object_id, "app_id": principal.app_id, "detail": str(error)}
    if not _is_outage(error):
        return refusal("groups_overage", facts)
    wait = getattr(error, "retry_after", None)
    return KeysUnavailableError("groups_unavailable", facts, retry_after=max(1.0, wait or 0.0))


def _is_outage(error: Exception) -> bool:
    """Whether nobody could tell; a refusal, or a user who is gone, is an answer."""
    if isinstance(error, GraphError):
        return error.status >= _SERVER_ERROR or error.status == _TOO_MANY
    if isinstance(error, ConfigurationError):
        return False
    return not isinstance(error, TokenAcquisitionError) or error.retryable


def _key(member: Member) -> str:
    return f"{member.tenant_id}/{member.object_id}".lower()


def _path(member: Member) -> str:
    kind = "servicePrincipals" if member.is_app else "users"
    return f"/{kind}/{member.object_id}/getMemberObjects"
