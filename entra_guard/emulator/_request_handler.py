"""Respond to requests from every transport: route them, apply faults, record them."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace
from email.utils import format_datetime
from typing import TYPE_CHECKING

from entra_guard.emulator._activity.exchange import describe_exchange, is_shown
from entra_guard.emulator._activity.request_log import RequestLog, RequestRecord
from entra_guard.emulator._control import PREFIX
from entra_guard.emulator._http.delivery import Delivery
from entra_guard.emulator._http.trail import recording
from entra_guard.emulator._routes import find_route, respond

if TYPE_CHECKING:
    import threading

    from entra_guard.emulator._control import ControlApi
    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._faults.injector import FaultInjector
    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._portal.lazy_portal import LazyPortal


class RequestHandler:
    """Respond to requests, in-process or over a socket."""

    def __init__(
        self,
        service: DirectoryService,
        injector: FaultInjector,
        log: RequestLog,
        control: ControlApi,
        portal: LazyPortal,
    ) -> None:
        self._service = service
        self._injector = injector
        self._log = log
        self._control = control
        self._portal = portal
        self._held: dict[str, list[threading.Event]] = {}

    def respond(self, request: Request) -> Delivery:
        """Return the response to a request, changed by the faults, and record the request."""
        if self._portal.serves(request):
            # Without the lock, which the portal takes itself: a page may call a guard that sends requests.
            return Delivery(self._portal.respond(request))
        if request.path.startswith(PREFIX) and not self._is_unknown_page(request):
            # Without the lock: a fault that is set here may wait for the server's own thread.
            return Delivery(self._control.respond(request))
        started = time.perf_counter()
        with recording() as trail:
            delivery, target = self._apply_faults(request)
        if delivery.ending != "refused" and is_shown(request.path):
            milliseconds = (time.perf_counter() - started) * 1000
            directory, at = self._service.directory, self._service.store.now()
            facts = {"at": at, "ms": milliseconds}
            exchange = describe_exchange(request, delivery, trail, directory, target=target, **facts)
            self._log.add_exchange(exchange)
        return delivery

    def _apply_faults(self, request: Request) -> tuple[Delivery, str]:
        """Return the response as the faults change it, and what the request was for."""
        store = self._service.store
        with store.lock:
            found = find_route(request)
            target = found[0].target if found else "nothing"
            delivery = self._injector.apply_fault(target, request, lambda: self._respond(request))
            if delivery.ending == "refused":
                return delivery, target
            status = delivery.response.status
            self._log.add(RequestRecord(request.method, request.path, target, status, store.now()))
            date = format_datetime(dt.datetime.fromtimestamp(store.now(), dt.UTC), usegmt=True)
            dated = delivery.response.with_headers(("Date", date))
            events = self._events_to_release(target, delivery)
            return replace(delivery, response=dated, releases=events), target

    def _respond(self, request: Request) -> Response:
        return (
            self._portal.respond(request)
            if self._is_unknown_page(request)
            else respond(self._service, request)
        )

    def _is_unknown_page(self, request: Request) -> bool:
        """Return whether a browser requests a page that does not exist."""
        wants_page = request.method == "GET" and "text/html" in (request.header("accept") or "")
        return wants_page and not self._control.serves(request) and find_route(request) is None

    def _events_to_release(self, target: str, delivery: Delivery) -> tuple[threading.Event, ...]:
        """Return the events of the responses that are held until this one was sent."""
        if delivery.wait_for is not None:
            self._held.setdefault(target, []).append(delivery.wait_for)
            return ()
        return tuple(self._held.pop(target, ()))
