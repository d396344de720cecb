"""The logout endpoint. There is no browser session to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._http.html import page
from entra_guard.emulator._oauth.redirects import platform_of, redirect

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._store.store import Store


def sign_out(store: Store, request: Request) -> Response:
    """Redirect to the client if its redirect URI is registered; otherwise show a page."""
    parameters = request.parameters()
    uri = parameters.get("post_logout_redirect_uri", "")
    if any(platform_of(app, uri) for app in store.directory.apps.values()):
        return redirect(uri, "query", {"state": parameters["state"]} if "state" in parameters else {})
    return page(
        "message.html", title="You signed out of your account", text="It's a good idea to close the window."
    )
