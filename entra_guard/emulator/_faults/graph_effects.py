"""Errors of Microsoft Graph that faults cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard.emulator._graph.access import claims_challenge, graph_error_response
from entra_guard.emulator._graph.errors import GraphRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._store.store import Store

_ERRORS: Final[Mapping[int, tuple[str, str]]] = {
    429: ("TooManyRequests", "Too many requests. Please retry later."),
    500: ("InternalServerError", "An internal server error has occurred."),
    503: ("ServiceUnavailable", "The service is temporarily unavailable."),
}


def graph_error(store: Store, request: Request, status: int) -> Response:
    """Return Graph's response of that status."""
    return graph_error_response(store, request, GraphRequestError(status, *_ERRORS[status]))


def graph_challenge(store: Store, request: Request) -> Response:
    """Return Graph's claims challenge: tokens issued before now are refused."""
    return graph_error_response(store, request, claims_challenge(request, int(store.now())))
