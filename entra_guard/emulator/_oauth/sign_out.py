"""The logout endpoint. There is no browser session to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._http.html import page
from entra_guard.emulator._oauth.redirects import platform_of, redirect
from entra_guard.emulator._tokens.verification import InvalidTokenError, verify_own_token

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._store.entries import AppRegistration
    from entra_guard.emulator._store.store import Store


def sign_out(store: Store, request: Request) -> Response:
    """Redirect to the client if its redirect URI is registered; otherwise show a page."""
    parameters = request.parameters()
    uri = parameters.get("post_logout_redirect_uri", "")
    if any(platform_of(app, uri) for app in store.directory.apps.values()):
        return redirect(uri, "query", {"state": parameters["state"]} if "state" in parameters else {})
    app, who = _parties(store, parameters)
    facts = [("Account", who), ("App", app.name if app else "")]
    return page(
        "message.html",
        title="You signed out of your account",
        text="You may close this window.",
        facts=[(label, value) for label, value in facts if value],
        problem=_problem(uri),
        link=_link(app) if app and uri else None,
    )


def _parties(store: Store, parameters: dict[str, str]) -> tuple[AppRegistration | None, str]:
    """Return the app and the user that the request names, if it does."""
    try:
        claims = verify_own_token(store, parameters.get("id_token_hint", ""))
    except InvalidTokenError:
        claims = {}
    app = store.directory.apps.get(parameters.get("client_id", "") or str(claims.get("aud", "")))
    user = store.directory.users.get(str(claims.get("oid", "")))
    who = (user.mail or user.upn) if user else parameters.get("logout_hint", "")
    return (app if app and app.tenant_id else None), who


def _problem(uri: str) -> str:
    if uri:
        return f"The app wanted to continue at {uri}, which is not one of its redirect URIs."
    return "The request had no post_logout_redirect_uri, so there is no app to return to."


def _link(app: AppRegistration) -> tuple[str, str]:
    address = f"/portal/apps/{app.client_id}/authentication?tenant={app.tenant_id}"
    return address, f"Redirect URIs of {app.name}"
