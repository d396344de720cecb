"""Obtain a token for the portal: by a real request to the token endpoint, or made with a condition."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from entra_guard.emulator._http.messages import Request, split_url
from entra_guard.emulator._oauth.errors import EntraError
from entra_guard.emulator._oauth.redirects import platform_of
from entra_guard.emulator._oauth.remedies import REMEDIES, remedy_text
from entra_guard.emulator._oauth.user_actions import UserActions
from entra_guard.emulator._portal.shortening import shortened
from entra_guard.emulator._store.encoding import base64url
from entra_guard.emulator._store.entries import GRAPH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._http.delivery import Delivery
    from entra_guard.emulator._store.entries import AppRegistration, Tenant, User
    from entra_guard.emulator._tokens.issuer import TokenIssuer

# Sections of an app's page, by the place of a remedy.
PLACES: Final[Mapping[str, str]] = {
    "overview": "",
    "authentication": "/authentication",
    "credentials": "/credentials",
    "permissions": "/permissions",
    "expose": "/expose",
    "assignments": "/assignments",
}
HIDDEN_SECRET: Final = "<the value of a client secret>"  # noqa: S105 (a placeholder)
_OK: Final = 200
_PATH: Final = "oauth2/v2.0/token"
_SHORT_LIFE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the form requests.

    Attributes:
        base: The base URL that clients use.
        tenant: The tenant.
        client: The app that requests the token.
        api: The API that it is for.
        user: The signed-in user; None for the app itself.
        permissions: Roles or scopes; None for those in the directory.
        condition: A preset's name; '' for a token as the directory issues it.
    """

    base: str
    tenant: Tenant
    client: AppRegistration
    api: AppRegistration
    user: User | None = None
    permissions: tuple[str, ...] | None = None
    condition: str = ""

    @property
    def is_made(self) -> bool:
        """Whether the emulator makes the token without a request to the token endpoint."""
        return bool(self.condition) or (self.permissions is not None and self.user is None)


@dataclass(frozen=True, slots=True)
class Obtained:
    """The result: a token, or the error that Entra responds with.

    Attributes:
        url: Where the request went.
        form: The fields of the request; the secret is a placeholder.
        status: The status of the response.
        response: The body of the response, as text.
        token: The access token; '' if it was refused.
        code: The AADSTS number of the refusal.
        error: Its text.
        remedy: What to do.
        place: The section of the client's page where it is changed.
        origin: The Origin header of the request, which a single-page app's browser sends; '' without one.
    """

    url: str
    form: Mapping[str, str]
    status: int
    response: str = field(repr=False)
    token: str = field(default="", repr=False)
    code: int = 0
    error: str = ""
    remedy: str = ""
    place: str = ""
    origin: str = ""


class TokenSource:
    """Obtain tokens as clients do.

    Args:
        service: The directory.
        issuer: Makes tokens with a condition.
        respond: Responds to requests, as for every other client.
    """

    def __init__(
        self, service: DirectoryService, issuer: TokenIssuer, respond: Callable[[Request], Delivery]
    ) -> None:
        self._service = service
        self._issuer = issuer
        self._respond = respond

    def obtain(self, wanted: Wanted) -> Obtained:
        """Obtain a token, or the error that Entra responds with."""
        # With the lock: no other request may see the temporary secret.
        with self._service.store.lock:
            if wanted.is_made:
                return self._make(wanted)
            try:
                return self._request_as_user(wanted) if wanted.user else self._request_as_app(wanted)
            except EntraError as error:
                return _refused(wanted, error)

    def _make(self, wanted: Wanted) -> Obtained:
        kind = "roles" if wanted.user is None else "scopes"
        named: dict[str, Any] = {} if wanted.permissions is None else {kind: list(wanted.permissions)}
        body = {
            "client": wanted.client.client_id,
            "audience": wanted.api.client_id,
            **named,
            **({"user": wanted.user.id} if wanted.user else {}),
            **({"preset": wanted.condition} if wanted.condition else {}),
        }
        token = self._issuer.issue_token(
            wanted.client.client_id,
            audience=wanted.api,
            user=wanted.user,
            preset=wanted.condition or None,
            tenant=wanted.tenant,
            base_url=wanted.base,
            **named,
        )
        shown = json.dumps(body, indent=2)
        response = _pretty({"access_token": token})
        return Obtained(f"{wanted.base}/_emu/token", {"": shown}, _OK, response, token)

    def _request_as_app(self, wanted: Wanted) -> Obtained:
        form = {
            "grant_type": "client_credentials",
            "client_id": wanted.client.client_id,
            "scope": wanted.api.default_scope if wanted.api.client_id != GRAPH else _graph_scope(wanted.api),
        }
        return self._send(wanted, form, {}, with_secret=True)

    def _request_as_user(self, wanted: Wanted) -> Obtained:
        """Sign in as the user, who consents, and redeem the code as the client does."""
        client, user = wanted.client, wanted.user
        uris = (*client.spa_redirect_uris, *client.redirect_uris, *client.public_redirect_uris)
        if not uris or user is None:
            raise EntraError(900971)
        scope = _delegated_scope(wanted)
        verifier = base64url(hashlib.sha256(self._service.store.ids.octets(32)).digest())
        challenge = base64url(hashlib.sha256(verifier.encode()).digest())
        code = UserActions(self._service).sign_in(
            client, user.id, scope=scope, redirect_uri=uris[0], code_challenge=challenge
        )
        form = {
            "grant_type": "authorization_code",
            "client_id": client.client_id,
            "scope": scope,
            "code": code,
            "redirect_uri": uris[0],
            "code_verifier": verifier,
        }
        platform = platform_of(client, uris[0])
        page = split_url(uris[0])
        headers = {"origin": f"{page.scheme}://{page.netloc}"} if platform == "spa" else {}
        return self._send(wanted, form, headers, with_secret=platform == "web")

    def _send(
        self, wanted: Wanted, form: dict[str, str], headers: dict[str, str], *, with_secret: bool
    ) -> Obtained:
        """Send a request to the token endpoint; with a secret that exists for this request only."""
        held = self._service.directory.credentials_of(wanted.client.client_id)
        # Without its own credential, the app is refused as in Entra.
        has_credential = bool(held.secrets or held.certificates or held.federated)
        sent, shown = form, form
        if with_secret and has_credential:
            secret = self._service.credentials.add_secret(wanted.client, expires_in=_SHORT_LIFE)
            sent = {**form, "client_secret": secret.value}
            shown = {**form, "client_secret": HIDDEN_SECRET}
        try:
            delivery = self._respond(_token_request(wanted, sent, headers))
        finally:
            self._service.credentials.set_credentials(wanted.client, held)
        delivery.mark_sent()
        return replace(_obtained(wanted, shown, delivery), origin=headers.get("origin", ""))


def _token_request(wanted: Wanted, form: Mapping[str, str], headers: Mapping[str, str]) -> Request:
    scheme, _, host = wanted.base.partition("://")
    kind = {"content-type": "application/x-www-form-urlencoded", "host": host}
    path = f"/{wanted.tenant.id}/{_PATH}"
    return Request("POST", scheme, host, path, "", {**kind, **headers}, urlencode(form).encode())


def _graph_scope(api: AppRegistration) -> str:
    return f"{api.app_id_uri.rstrip('/')}/.default"


def _delegated_scope(wanted: Wanted) -> str:
    names = wanted.permissions if wanted.permissions is not None else (".default",)
    resource = wanted.api.app_id_uri.rstrip("/")
    return " ".join(["openid", *(f"{resource}/{name}" for name in names)])


def _obtained(wanted: Wanted, form: Mapping[str, str], delivery: Delivery) -> Obtained:
    """Return what a response of the token endpoint has: a token, or an error and what to do about it."""
    url = f"{wanted.base}/{wanted.tenant.id}/{_PATH}"
    if delivery.ending != "complete":
        remedy = "A fault is set for the token endpoint. Clear it under Test conditions."
        return Obtained(url, form, 0, "", error=f"No response: {delivery.ending}", remedy=remedy)
    status, text = delivery.response.status, delivery.response.body.decode("utf-8", "replace")
    try:
        content: Any = json.loads(text)
        token = str(content.get("access_token", ""))
        code = int(next(iter(content.get("error_codes", [])), 0))
    except (ValueError, AttributeError, TypeError):  # a fault may have changed the body
        error = f"The endpoint responded with {status}, not with JSON."
        return Obtained(url, form, status, text, error=error)
    result = Obtained(url, form, status, _pretty(content))
    if status == _OK and token:
        return replace(result, token=token)
    error = _without_code(str(content.get("error_description", "")).partition(" Trace ID:")[0])
    facts = {"app": wanted.client.client_id, "name": wanted.client.name, "resource": wanted.api.name}
    facts |= {"resource_name": wanted.api.name, "tenant": wanted.tenant.name}
    return replace(result, code=code, error=error, remedy=remedy_text(code, facts), place=_place(code))


def _pretty(content: Mapping[str, Any]) -> str:
    return json.dumps({name: shortened(value) for name, value in content.items()}, indent=2)


def _without_code(text: str) -> str:
    return text.partition(": ")[2] if text.startswith("AADSTS") else text


def _place(code: int) -> str:
    remedy = REMEDIES.get(code)
    return remedy.place if remedy else ""


def _refused(wanted: Wanted, error: EntraError) -> Obtained:
    """Return the error of the authorize endpoint, before there is a request to the token endpoint."""
    number = error.row.number
    form = {"client_id": wanted.client.client_id, "response_type": "code", "scope": _delegated_scope(wanted)}
    body = json.dumps(
        {"error": error.error, "error_description": str(error), "error_codes": [number]}, indent=2
    )
    url = f"{wanted.base}/{wanted.tenant.id}/oauth2/v2.0/authorize"
    remedy = remedy_text(number, {"name": wanted.client.name, **error.facts})
    return Obtained(url, form, error.row.status, body, "", number, error.text, remedy, _place(number))
