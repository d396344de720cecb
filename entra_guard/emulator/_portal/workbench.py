"""What the pages for tokens and test conditions share: guards, token requests, calls of the sample API."""

from __future__ import annotations

import collections
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._portal.tokens.obtaining import TokenSource
from entra_guard.emulator._portal.tokens.verdicts import GuardPool
from entra_guard.emulator._portal.watch.sample_api import call_sample_api, write_role

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from entra_guard.emulator._activity.request_log import RequestLog
    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._http.delivery import Delivery
    from entra_guard.emulator._http.messages import Request
    from entra_guard.emulator._portal.watch.sample_api import SampleResponse
    from entra_guard.emulator._store.directory import Directory
    from entra_guard.emulator._store.entries import AppRegistration
    from entra_guard.emulator._tokens.issuer import TokenIssuer

MAX_ATTEMPTS: Final = 8


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the sample API: its method, its Authorization headers, and what they are in words."""

    method: str
    authorization: Sequence[str] = field(repr=False)
    what: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to the sample API, for the page.

    Attributes:
        at: The emulator's time, in seconds since 1970.
        api: The name of the API.
        method: GET or POST.
        what: What was sent, in words.
        response: The response and the operator's log lines.
        fetched: What the guard requested from the emulator meanwhile: flow and result.
    """

    at: float
    api: str
    method: str
    what: str
    response: SampleResponse
    fetched: tuple[str, ...] = ()


@dataclass(slots=True)
class Sent:
    """The last token that was sent to the sample API, so that it can be sent again."""

    token: str = field(default="", repr=False)
    what: str = ""
    api_id: str = ""


class Workbench:
    """Try tokens against the real guard.

    Args:
        service: The directory.
        issuer: Makes tokens.
        log: The requests that reached the emulator.
        respond: Responds to requests, as for every other client.

    Attributes:
        guards: A guard for each API.
        tokens: Tokens, as clients obtain them.
        attempts: The last requests to the sample API, newest first.
        last: The last token that was sent.
        succeeded: Whether the sample API has accepted a request.
    """

    def __init__(
        self,
        service: DirectoryService,
        issuer: TokenIssuer,
        log: RequestLog,
        respond: Callable[[Request], Delivery],
    ) -> None:
        self._store = service.store
        self._log = log
        self._lock = threading.Lock()
        self.guards = GuardPool(respond, service.store)
        self.tokens = TokenSource(service, issuer, respond)
        self.attempts: collections.deque[Attempt] = collections.deque(maxlen=MAX_ATTEMPTS)
        self.last = Sent()
        self.succeeded = False
        service.store.on_restore(self.forget)

    def forget(self) -> None:
        """Forget guards, their keys, and what was sent: the emulator returned to an earlier state."""
        self.guards.forget()
        with self._lock:
            self.attempts.clear()
            self.last, self.succeeded = Sent(), False

    def call(self, base: str, api: AppRegistration, call: Call, *, kept: bool = True) -> SampleResponse:
        """Send a request to the sample API, and keep what happened.

        Args:
            base: The base URL that clients use.
            api: The API that the guard protects.
            call: The request.
            kept: Whether the page lists it.
        """
        before = {exchange.number for exchange in self._log.exchanges}
        response = call_sample_api(
            self.guards.guard(base, api), write_role(api), call.method, call.authorization
        )
        new = (exchange for exchange in self._log.exchanges if exchange.number not in before)
        fetched = tuple(f"{e.flow}: {e.result}" for e in new if e.flow in {"keys", "metadata"})
        with self._lock:
            self.succeeded = self.succeeded or response.status in {200, 201}
            if kept:
                self.attempts.appendleft(
                    Attempt(self._store.now(), api.name, call.method, call.what, response, fetched)
                )
        return response


def names_by_id(directory: Directory) -> dict[str, str]:
    """Return the names of tenants, apps, service principals, users and groups, by id."""
    return {
        **{tenant.id: tenant.name for tenant in directory.tenants.values()},
        **{group.id: group.name for group in directory.groups.values()},
        **{user.id: user.display_name for user in directory.users.values()},
        **{principal.id: principal.name for principal in directory.principals.values()},
        **{app.client_id: app.name for app in directory.apps.values()},
    }
