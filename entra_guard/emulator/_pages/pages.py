"""The other pages: signing out, what an error means, and the front page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from entra_guard.emulator._http.html import page
from entra_guard.emulator._http.messages import Request, Response
from entra_guard.emulator._oauth.aadsts import AADSTS
from entra_guard.emulator._oauth.redirects import platform_of, redirect
from entra_guard.emulator._tokens.presets import PRESETS

if TYPE_CHECKING:
    from entra_guard.emulator._store.store import Store


def sign_out(store: Store, request: Request) -> Response:
    """Sign out; back to the client if it is known to want that. There is no session to end."""
    uri = request.parameters().get("post_logout_redirect_uri", "")
    state = request.parameters().get("state")
    if any(platform_of(app, uri) for app in store.directory.apps.values()):
        return redirect(uri, "query", {"state": state} if state else {}) if state else _plain_redirect(uri)
    return page(
        "message.html", title="You signed out of your account", text="It's a good idea to close the window."
    )


def _plain_redirect(uri: str) -> Response:
    return Response(302, b"", (("Location", uri),))


def explain_error(request: Request) -> Response:
    """The page an `error_uri` leads to."""
    code = request.parameters().get("code", "")
    row = AADSTS.get(int(code)) if re.fullmatch("[0-9]{1,9}", code) else None
    rows: list[Any] = [row] if row else sorted(AADSTS.values(), key=lambda r: r.number)
    return page("errors.html", title="Error codes", rows=rows)


def front_page(store: Store, request: Request) -> Response:
    """What is in the directory, at a glance."""
    directory = store.directory
    tenants = list(directory.tenants.values())
    return page(
        "home.html",
        title="Directory",
        base=request.base,
        tenants=tenants,
        apps={t.id: [a for a in directory.apps.values() if a.tenant_id == t.id] for t in tenants},
        users={t.id: list(directory.users_in(t.id)) for t in tenants},
        credentials=directory.credentials_of,
        held=directory.held_by,
        presets=PRESETS,
        keys=list(store.state.keys.published()),
        signing=store.state.keys.signing().kid,
        faults=store.state.faults,
    )
