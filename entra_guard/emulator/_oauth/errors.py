"""The error that an endpoint refuses a request with, and its forms: JSON, and fields of a redirect."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Final

from entra_guard._escaping import shorten
from entra_guard.emulator._http.messages import Request, Response, json_response
from entra_guard.emulator._http.trail import note_correlation, note_refusal
from entra_guard.emulator._oauth.aadsts import AADSTS, SUBERRORS

if TYPE_CHECKING:
    from entra_guard.emulator._store.store import Store

_DECLINED: Final = 65004
_LONGEST_FACT: Final = 300
UNCACHED: Final = (("Cache-Control", "no-store, no-cache"), ("Pragma", "no-cache"))


class EntraError(Exception):
    """The endpoint refuses the request, with Entra's error.

    Args:
        number: The AADSTS number.
        error: An OAuth error other than the table's, where endpoints differ.
        facts: Values for the text: app, tenant, resource, scope, ...; it has them shortened.
    """

    def __init__(self, number: int, *, error: str | None = None, **facts: str) -> None:
        self.row = AADSTS[number]
        self.error = error or self.row.error
        self.facts = facts
        self.text = self.row.text.format(**{n: shorten(fact, _LONGEST_FACT) for n, fact in facts.items()})
        super().__init__(f"AADSTS{number}: {self.text}")


def error_response(store: Store, request: Request, error: EntraError) -> Response:
    """Return the error as JSON in Entra's format."""
    note_error(error)
    trace, correlation, at = store.ids.guid(), correlation_id(store, request), timestamp(store)
    body = {
        "error": error.error,
        "error_description": _description(error, trace, correlation, at),
        "error_codes": [error.row.number],
        "timestamp": at,
        "trace_id": trace,
        "correlation_id": correlation,
        **_page_link(request, error),
    }
    if error.row.number in SUBERRORS:
        body["suberror"] = SUBERRORS[error.row.number]
    return json_response(body, error.row.status, *UNCACHED)


def redirect_fields(store: Store, request: Request, error: EntraError) -> dict[str, str]:
    """Return the fields of an error that is redirected to the client."""
    note_error(error)
    correlation = correlation_id(store, request)
    description = _description(error, store.ids.guid(), correlation, timestamp(store))
    subcode = {"error_subcode": "cancel"} if error.row.number == _DECLINED else {}
    return {"error": error.error, **subcode, "error_description": description, **_page_link(request, error)}


def _description(error: EntraError, trace: str, correlation: str, at: str) -> str:
    return f"{error} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}"


def _page_link(request: Request, error: EntraError) -> dict[str, str]:
    return {"error_uri": f"{request.base}/error?code={error.row.number}"} if error.row.page else {}


def note_error(error: EntraError) -> None:
    """Record the error in the activity."""
    note_refusal(error.row.number, error.error, error.text, error.facts)


def timestamp(store: Store) -> str:
    """Return the time as error descriptions have it."""
    return dt.datetime.fromtimestamp(store.now(), dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def correlation_id(store: Store, request: Request) -> str:
    """Return the correlation id that the client sent in header or query; otherwise a new one."""
    correlation = sent_correlation_id(request) or store.ids.guid()
    note_correlation(correlation)
    return correlation


def sent_correlation_id(request: Request) -> str:
    """Return the correlation id that the client sent; '' if it sent none, or not a GUID."""
    sent = request.header("client-request-id") or request.parameters().get("client-request-id")
    try:
        return str(uuid.UUID(sent)) if sent else ""
    except ValueError:
        return ""
