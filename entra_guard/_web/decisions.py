"""The event of each decision about a request: a log record, a count, and attributes of the request's span.

Nothing of a token is recorded that was not verified. Imports no framework.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.logs import get_logger
from entra_guard._common.telemetry import TELEMETRY, user_hash
from entra_guard._escaping import cleaned, printable
from entra_guard._web.log_floods import FLOODS
from entra_guard._web.request_id import request_id_of

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from entra_guard.errors import AccessError
    from entra_guard.principal import Principal

    Request = MutableMapping[str, Any]

log: Final = get_logger("entra_guard")
_is_enabled_for: Final = log.logger.isEnabledFor

# The key in a WSGI environ under which the `AcceptedRequest` is, until its route is known.
ACCEPTED: Final = "entra_guard.accepted"
# The key in an ASGI scope, WSGI environ or Django's META of a request whose decision was recorded.
DECIDED: Final = "entra_guard.decided"


# What `isEnabledFor` remembers, until a level changes anywhere: a look-up takes a third of the call's time.
# Where it says nothing, the request is observed, and the call fills it again.
LEVELS: Final[dict[int, bool]] = getattr(log.logger, "_cache", {})


def is_observed() -> bool:
    """Return whether accepted requests are recorded anywhere: in a log at DEBUG, in metrics or in spans."""
    return TELEMETRY.is_on or LEVELS.get(logging.DEBUG, True)


class AcceptedRequest:
    """A request with a valid token, until it is known which route it gets and whether that refuses it.

    Args:
        principal: The caller.
        request: The ASGI scope, WSGI environ or Django's META.
        method: The request's method.
        path: The request's path.
        with_user: Whether the user's hash is put on the request's span.
        route: The template of its route, if that is known already.
    """

    __slots__ = ("_method", "_path", "_principal", "_request", "_route", "_span")

    def __init__(
        self,
        principal: Principal,
        request: Request,
        method: str,
        path: str,
        *,
        with_user: bool,
        route: str | None = None,
    ) -> None:
        self._principal = principal
        self._request = request
        self._method = method
        self._path = path
        self._route = route
        self._span = TELEMETRY.request_span()
        if self._span is not None:
            self._span.set_attribute("entra_guard.tenant_id", principal.tenant_id)
            self._span.set_attribute("entra_guard.client_id", principal.app_id)
            if with_user and not principal.is_app:
                self._span.set_attribute("user.hash", user_hash(principal.tenant_id, principal.identity))

    def finish(self, route: str | None = None) -> None:
        """Record that the request was accepted, unless its decision was recorded.

        Args:
            route: The template of its route; None if it was not routed, or is known already.
        """
        route = self._route if route is None else route
        if DECIDED in self._request:
            return
        self._request[DECIDED] = True
        if self._span is not None:
            self._span.set_attribute("entra_guard.outcome", "accepted")
        if TELEMETRY.metrics is not None:
            TELEMETRY.metrics.decided("", route)
        if _is_enabled_for(logging.DEBUG):
            self._log(route)

    def _log(self, route: str | None) -> None:
        facts: dict[str, object] = {"outcome": "accepted", "method": self._method, "path": self._path}
        facts |= {"route": route} if route is not None else {}
        verified, request_id = self._principal.verified, request_id_of(self._request)
        facts |= {"request_id": request_id, "app_id": verified.app_id, "tenant_id": verified.tenant_id}
        facts |= {"token_id": verified.token_id} if verified.token_id else {}
        log.log(
            logging.DEBUG,
            "accepted %s %s: app_id=%s, tenant_id=%s, request_id=%s",
            printable(self._method),
            printable(self._path),
            verified.app_id,
            verified.tenant_id,
            request_id,
            extra={"entra_guard": cleaned(facts)},
        )


def log_refusal(
    error: AccessError, method: str, path: str, request: Request, route: str | None = None
) -> None:
    """Record why a request was refused, once per error: with the facts, without token, signature or name.

    A request without a token is frequent and logged as INFO; every other refusal is a WARNING, which
    Python shows also if logging is not configured. The error gets the id of the request, for its response.

    Args:
        error: The refusal.
        method: The request's method, as the client sent it.
        path: The request's path, as the client sent it.
        request: The ASGI scope, WSGI environ or Django's META.
        route: The template of its route; None if it was not routed.
    """
    if "is_logged" in vars(error):
        return
    vars(error)["is_logged"] = True
    request[DECIDED] = True
    error.request_id = request_id_of(request)
    span = TELEMETRY.request_span()
    if span is not None:
        span.set_attribute("entra_guard.outcome", "refused")
        span.set_attribute("entra_guard.reason", error.reason)
    if TELEMETRY.metrics is not None:
        TELEMETRY.metrics.decided(error.reason, route)
    level = logging.INFO if error.reason == "missing_token" else logging.WARNING
    if _is_enabled_for(level) and FLOODS.is_logged(error.reason, level, error.verified_client):
        _log_refusal(error, level, method, path, route)


def _log_refusal(error: AccessError, level: int, method: str, path: str, route: str | None) -> None:
    facts: dict[str, object] = {"outcome": "refused", "reason": error.reason, "status": error.status}
    facts |= {"method": method, "path": path, "request_id": error.request_id}
    facts |= {"route": route} if route is not None else {}
    log.log(
        level,
        "%d %s %s: %s",
        error.status,
        printable(method),
        printable(path),
        error.report(),
        extra={"entra_guard": cleaned(facts | error.facts | facts)},
    )
