"""The sample API at its own address, for curl and other clients: GET /portal/sample-api."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard.emulator._directory.samples import API as SAMPLE_API
from entra_guard.emulator._http.form_guard import is_foreign
from entra_guard.emulator._http.messages import Response
from entra_guard.emulator._portal.bases import base_of_token
from entra_guard.emulator._portal.tokens.token_facts import decode_token
from entra_guard.emulator._portal.visit import NotFoundError, PortalPage, get
from entra_guard.emulator._portal.workbench import Call

if TYPE_CHECKING:
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.entries import AppRegistration

ADDRESS: Final = "/portal/sample-api"
_DROPPED: Final = frozenset({"content-length", "date", "server"})


def call(visit: Visit) -> Response:
    """Pass the request's Authorization header to the guarded API, and return its response."""
    header = visit.request.header("authorization")
    api = _api(visit, header or "")
    sent = [header] if header is not None else []
    what = "a request from outside" if header else "a request from outside, without a token"
    token = (header or "").partition(" ")[2]
    base = base_of_token(visit.parts.server, visit.request.base, token)
    # What another web page causes is not listed: such a page could fill the list.
    kept = not is_foreign(visit.request)
    response = visit.parts.workbench.call(base, api, Call("GET", sent, what), kept=kept)
    headers = tuple((name.title(), value) for name, value in response.headers if name not in _DROPPED)
    return Response(response.status, response.body.encode(), headers)


def _api(visit: Visit, header: str) -> AppRegistration:
    """Return the API in the address; otherwise the one that the token is for, or the first."""
    directory, named = visit.directory, visit.path.get("api", "")
    if named:
        chosen = directory.apps.get(named.lower())
        if chosen is None or chosen.tenant_id not in directory.tenants:  # Microsoft's own have no tenant
            raise NotFoundError(f"No app has the client id {named}.", "/portal/sample-api")
        return chosen
    # Not verified: it only selects which API's guard decides, and each accepts only its own tokens.
    decoded = decode_token(header.partition(" ")[2])
    audience = str(decoded.claims.get("aud")) if decoded else ""
    candidates = [app for app in directory.apps.values() if app.tenant_id in directory.tenants]
    own = [app for app in candidates if audience in app.names()]
    sample = directory.apps.get(SAMPLE_API)
    found = next(iter(own), None) or sample or next((a for a in candidates if a.app_roles), None)
    if found is None:
        raise NotFoundError("There is no API. Register one first.")
    return found


PAGES: Final[tuple[PortalPage, ...]] = (
    get(ADDRESS, call, locked=False),
    get(f"{ADDRESS}/{{api}}", call, locked=False),
)
