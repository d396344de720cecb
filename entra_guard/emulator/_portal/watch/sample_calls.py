"""Send a request to the sample API from a page: with which token, in which header, for which operation."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._portal.choices import chosen_api, chosen_client, chosen_user
from entra_guard.emulator._portal.visit import PortalPage, post
from entra_guard.emulator._portal.workbench import Call, Sent
from entra_guard.emulator._tokens.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.entries import AppRegistration

PAGE: Final = "/portal/conditions"
ADDRESS: Final = f"{PAGE}/call"

# Mistakes of clients in the Authorization header: words, and the header for a token.
HEADERS: Final[Mapping[str, tuple[str, Callable[[str], str]]]] = MappingProxyType(
    {
        "no-bearer": ("without the word Bearer", lambda token: token),
        "quoted": ("in quotes", lambda token: f'Bearer "{token}"'),
        "json": ("inside of JSON", lambda token: f'Bearer {{"access_token":"{token}"}}'),
        "null": ("as the word null", lambda _: "Bearer null"),
        "opaque": ("that is not a JWT", lambda _: "Bearer opaque"),
    }
)
# Which request causes which reason of the guard.
CAUSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing_token": "none",
        "missing_bearer": "no-bearer",
        "quoted_token": "quoted",
        "token_in_json": "json",
        "malformed_authorization": "null",
        "not_a_jwt": "opaque",
        "missing_role": "write",
        "keys_unavailable": "no-keys",
    }
)


class _NothingToSendError(Exception):
    """There is no token that could be sent; the message says why."""


def call(visit: Visit) -> Response:
    """Send a request: with a new token, the last one, a given one, a mistaken header, or none."""
    api = chosen_api(visit)
    if api is None:
        raise LookupError(f"There is no API in {visit.tenant.name}. Register one first.")
    which, workbench = visit.text("which"), visit.parts.workbench
    if which == "no-keys":
        visit.parts.injector.fail("keys", "503")
    if which == "no-keys" or visit.text("restart"):
        workbench.guards.forget()
    try:
        token, what = _token_to_send(visit, api, which)
    except _NothingToSendError as error:
        return visit.redirect(f"{PAGE}#sample", notice=str(error))
    words, header = HEADERS.get(which, ("", _bearer))
    method = "POST" if "write" in {which, visit.text("operation")} else "GET"
    sent = [header(token)] if token else []
    workbench.call(visit.request.base, api, Call(method, sent, f"{what} {words}".strip()))
    if token:
        workbench.last = Sent(token, what, api.client_id)
    return visit.redirect(f"{PAGE}?api={api.client_id}#sample")


def _bearer(token: str) -> str:
    return f"Bearer {token}"


def _token_to_send(visit: Visit, api: AppRegistration, which: str) -> tuple[str, str]:
    """Return the token, and what it is in words; an empty token to send none."""
    last = visit.parts.workbench.last
    if which == "none":
        return "", "no token"
    if which == "last":
        if not last.token:
            raise _NothingToSendError("No token was sent before.")
        return last.token, last.what if last.what.endswith(", again") else f"{last.what}, again"
    if visit.text("token"):
        return visit.text("token"), "the token of the page Get a token"
    return _new_token(visit, api)


def _new_token(visit: Visit, api: AppRegistration) -> tuple[str, str]:
    client, user, condition = chosen_client(visit, api), chosen_user(visit), visit.text("condition")
    if client is None:
        raise _NothingToSendError("There is no app that could call the API.")
    if condition and condition not in PRESETS:
        raise _NothingToSendError(f"There is no condition {condition}.")
    options: dict[str, Any] = {"preset": condition} if condition else {}
    token = visit.parts.issuer.issue_token(
        client.client_id,
        audience=api,
        user=user,
        tenant=visit.tenant,
        base_url=visit.request.base,
        **options,
    )
    kind = f"a token with the condition {condition}" if condition else "a new token"
    return token, f"{kind} of {client.name}{f' for {user.display_name}' if user else ''}"


PAGES: Final[tuple[PortalPage, ...]] = (post(ADDRESS, call, locked=False),)
