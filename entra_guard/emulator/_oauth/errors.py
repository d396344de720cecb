"""Error responses of the authority's endpoints."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._http.messages import Request, Response, json_response
from entra_guard.emulator._http.trail import note_correlation, note_refusal
from entra_guard.emulator._oauth.aadsts import describe_error, error_body

if TYPE_CHECKING:
    from entra_guard.emulator._oauth.aadsts import EntraError
    from entra_guard.emulator._store.store import Store

_DECLINED: Final = 65004
UNCACHED: Final = (("Cache-Control", "no-store, no-cache"), ("Pragma", "no-cache"))


def error_response(store: Store, request: Request, error: EntraError) -> Response:
    """Return the error as JSON in Entra's format."""
    note_error(error)
    body = error_body(
        error,
        base=request.base,
        timestamp=timestamp(store),
        trace=store.ids.guid(),
        correlation=correlation_id(store, request),
    )
    return json_response(body, error.row.status, *UNCACHED)


def redirect_fields(store: Store, request: Request, error: EntraError) -> dict[str, str]:
    """Return the fields of an error that is redirected to the client."""
    note_error(error)
    correlation = correlation_id(store, request)
    description = describe_error(error, store.ids.guid(), correlation, timestamp(store))
    subcode = {"error_subcode": "cancel"} if error.row.number == _DECLINED else {}
    page_link = {"error_uri": f"{request.base}/error?code={error.row.number}"} if error.row.page else {}
    return {"error": error.error, **subcode, "error_description": description, **page_link}


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
