"""The emulator's own pages: the directory, and the list of errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from entra_guard.emulator._http.html import page
from entra_guard.emulator._oauth.aadsts import AADSTS
from entra_guard.emulator._tokens.presets import PRESETS

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._store.store import Store


def errors_page(request: Request) -> Response:
    """Show the error that an `error_uri` links to, or all errors."""
    code = request.parameters().get("code", "")
    row = AADSTS.get(int(code)) if re.fullmatch("[0-9]{1,9}", code) else None
    rows: list[Any] = [row] if row else sorted(AADSTS.values(), key=lambda r: r.number)
    return page("errors.html", title="Error codes", rows=rows)


def front_page(store: Store, request: Request) -> Response:
    """Show what is in the directory."""
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
