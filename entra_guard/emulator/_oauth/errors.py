"""Error responses of the authority's endpoints."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._http.html import page
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
    _note(error)
    body = error_body(
        error,
        base=request.base,
        timestamp=_timestamp(store),
        trace=store.ids.guid(),
        correlation=correlation_id(store, request),
    )
    return json_response(body, error.row.status, *UNCACHED)


def error_page(store: Store, request: Request, error: EntraError) -> Response:
    """Return the error as a page, for errors that must not be redirected to the client."""
    _note(error)
    return page(
        "error.html",
        status=400,
        title="Sign-in failed",
        text=str(error),
        number=error.row.number,
        correlation=correlation_id(store, request),
    )


def redirect_fields(store: Store, request: Request, error: EntraError) -> dict[str, str]:
    """Return the fields of an error that is redirected to the client."""
    _note(error)
    correlation = correlation_id(store, request)
    description = describe_error(error, store.ids.guid(), correlation, _timestamp(store))
    subcode = {"error_subcode": "cancel"} if error.row.number == _DECLINED else {}
    page_link = {"error_uri": f"{request.base}/error?code={error.row.number}"} if error.row.page else {}
    return {"error": error.error, **subcode, "error_description": description, **page_link}


def _note(error: EntraError) -> None:
    note_refusal(error.row.number, error.error, error.text, error.facts)


def _timestamp(store: Store) -> str:
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
