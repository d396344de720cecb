"""The authorize endpoint: check the request, let the user choose an account, redirect with a code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._http.form_guard import is_own_form
from entra_guard.emulator._http.html import form_post_page, page
from entra_guard.emulator._http.trail import note, note_client, note_user
from entra_guard.emulator._oauth.consent_page import consent_page, requested_permissions, without_decision
from entra_guard.emulator._oauth.errors import EntraError, redirect_fields
from entra_guard.emulator._oauth.redirects import MODES, only_uri, platform_of, redirect
from entra_guard.emulator._oauth.scopes import DEFAULT, RequestedScopes, parse_scopes
from entra_guard.emulator._oauth.token_request import ALIASES
from entra_guard.emulator._oauth.user_consent import (
    check_user_may_consent,
    consent_as,
    known_resource,
    missing_consent,
    wanted_scopes,
)
from entra_guard.emulator._store.entries import CONSUMERS, PERSONAL_ACCOUNTS, AppRegistration, User
from entra_guard.emulator._store.sessions import CODE_LIFETIME, AuthorizationCode

if TYPE_CHECKING:
    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._store.store import Store

_CHALLENGE_METHODS: Final = ("plain", "S256")


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in request whose client and redirect URI are valid, so that errors may be redirected."""

    app: AppRegistration
    segment: str
    redirect_uri: str
    mode: str
    fields: dict[str, str]

    def text(self, name: str) -> str:
        return self.fields.get(name, "")

    @property
    def scope(self) -> str:
        """The scopes; at the v1.0 endpoint, a resource means all its consented scopes."""
        resource = self.text("resource")
        return self.text("scope") or (f"openid {resource}/{DEFAULT}" if resource else "")


def authorize(service: DirectoryService, request: Request, segment: str) -> Response:
    """Respond to a request to the authorize endpoint: with a page, or a redirect to the client.

    Raises:
        EntraError: The client or its redirect URI is not valid, so errors cannot be redirected.
    """
    fields = request.parameters() if request.method == "GET" else request.form()
    sign_in = parse_sign_in(service.store, segment, fields)
    try:
        return _process(service, request, sign_in)
    except EntraError as error:
        return _redirect_to_client(sign_in, redirect_fields(service.store, request, error))


def parse_sign_in(store: Store, segment: str, fields: dict[str, str]) -> SignIn:
    """Check client and redirect URI of a request.

    Raises:
        EntraError: One of them is not valid.
    """
    client_id = fields.get("client_id", "")
    app = store.directory.apps.get(client_id.lower())
    tenant = store.directory.tenant(segment)
    if tenant is None and segment not in ALIASES:
        raise EntraError(90002, tenant=segment)
    if not client_id:
        raise EntraError(900144, name="client_id")
    if app is None:
        raise EntraError(700016, app=client_id, tenant=tenant.name if tenant else "Microsoft")
    note_client(app.client_id, app.name)
    uri = fields.get("redirect_uri") or only_uri(app)
    if not uri:
        raise EntraError(900971)
    if platform_of(app, uri) is None:
        raise EntraError(50011, uri=uri, app=app.client_id)
    note("redirect URI", uri)
    if app.accounts == "AzureADMyOrg" and segment in ALIASES:
        raise EntraError(50194, app=app.client_id, name=app.name)
    mode = fields.get("response_mode", "query")
    return SignIn(app, segment, uri, mode if mode in MODES else "query", fields)


def _process(service: DirectoryService, request: Request, sign_in: SignIn) -> Response:
    _check_parameters(sign_in)
    scopes = parse_scopes(sign_in.scope)
    _check_resource(service.store, sign_in, scopes)
    users = selectable_users(service.store, sign_in.app, sign_in.segment)
    decided = request.method == "POST" and not sign_in.fields.keys().isdisjoint({"user", "decision"})
    own = decided and is_own_form(request, sign_in.fields, service.store.form_token)
    if own and sign_in.text("decision") == "cancel":
        raise EntraError(65004)
    if own:
        return _consent_or_finish(
            service, request, sign_in, scopes, _chosen_user(users, sign_in.text("user"))
        )
    if sign_in.text("prompt") == "none":
        return _sign_in_silently(service, sign_in, scopes, users)
    return _account_picker(service.store, request, sign_in, users, foreign=decided)


def _check_parameters(sign_in: SignIn) -> None:
    response_type = sign_in.text("response_type")
    if not response_type:
        raise EntraError(900144, name="response_type")
    if response_type != "code":
        raise EntraError(700054, value=response_type)
    if not sign_in.scope:
        raise EntraError(900144, name="scope")
    method = sign_in.text("code_challenge_method") or "plain"
    if method not in _CHALLENGE_METHODS:
        raise EntraError(501481)


def _check_resource(store: Store, sign_in: SignIn, scopes: RequestedScopes) -> None:
    """Check the `resource` parameter (RFC 8707), as the token endpoint does: before anyone signs in."""
    wanted = sign_in.text("resource")
    if not wanted or not sign_in.text("scope") or not scopes.names:
        return  # at the v1.0 endpoint the resource means its scopes
    api = known_resource(store, scopes.resource)
    if api is not None and wanted not in api.names():
        raise EntraError(9010010)


def selectable_users(store: Store, app: AppRegistration, segment: str) -> list[User]:
    """Return the users who may sign in to this app at this tenant or alias."""
    tenant = store.directory.tenant(segment)
    enabled = (user for user in store.directory.users.values() if user.enabled and not user.agent_id)
    if tenant is not None:
        return [user for user in enabled if user.tenant_id == tenant.id]
    personal = app.accounts in PERSONAL_ACCOUNTS and segment != "organizations"
    work = app.accounts != "PersonalMicrosoftAccount" and segment != "consumers"
    return [user for user in enabled if (personal if user.tenant_id == CONSUMERS else work)]


def _chosen_user(users: list[User], user_id: str) -> User:
    user = next((user for user in users if user_id == user.id), None)
    if user is None:
        raise EntraError(50058)
    return user


def _sign_in_silently(
    service: DirectoryService, sign_in: SignIn, scopes: RequestedScopes, users: list[User]
) -> Response:
    """Sign in without a page. There is no browser session, so `login_hint` names the signed-in user."""
    hint = sign_in.text("login_hint")
    user = next((user for user in users if hint and hint in user.names()), None)
    if user is None:
        raise EntraError(50058)
    if missing_consent(service, sign_in.app, user, scopes):
        raise EntraError(65001, error="consent_required", app=sign_in.app.client_id, name=sign_in.app.name)
    return _finish(service, sign_in, scopes, user)


def _consent_or_finish(
    service: DirectoryService, request: Request, sign_in: SignIn, scopes: RequestedScopes, user: User
) -> Response:
    """Show the permissions if the user has not consented to them yet, or if the client requires it."""
    missing = missing_consent(service, sign_in.app, user, scopes)
    everything = sign_in.text("prompt") == "consent"
    if sign_in.text("decision") == "accept" or not (missing or everything):
        return _finish(service, sign_in, scopes, user)
    check_user_may_consent(service, sign_in.app, user, scopes)
    names = wanted_scopes(service, sign_in.app, user, scopes) if everything else missing
    permissions = requested_permissions(service.store, scopes, names)
    fields = sign_in.fields
    return consent_page(
        service.store, sign_in.app, permissions, action=request.path, fields=fields, user=user
    )


def _finish(service: DirectoryService, sign_in: SignIn, scopes: RequestedScopes, user: User) -> Response:
    """Consent as the user, and redirect with a code."""
    note_user(user.display_name)
    consent_as(service, sign_in.app, user, scopes)
    _check_assignment(service.store, sign_in.app, user)
    code = new_code(service.store, sign_in, user)
    note("code", "sent to the redirect URI")
    return _redirect_to_client(sign_in, {"code": code, "session_state": service.store.ids.guid()})


def new_code(store: Store, sign_in: SignIn, user: User) -> str:
    """Return a new authorization code for this user."""
    text, now = f"1.A{store.ids.text(96)}", store.now()
    code = AuthorizationCode(
        client_id=sign_in.app.client_id,
        tenant_id=user.tenant_id,
        user_id=user.id,
        scope=sign_in.scope,
        redirect_uri=sign_in.redirect_uri,
        expires=now + CODE_LIFETIME,
        challenge=sign_in.text("code_challenge"),
        method=sign_in.text("code_challenge_method") or "plain",
        nonce=sign_in.text("nonce"),
        claims=sign_in.text("claims"),
    )
    store.change(sessions=store.state.sessions.with_code(text, code, now=now).with_recent(user.id))
    return text


def _check_assignment(store: Store, app: AppRegistration, user: User) -> None:
    """Refuse users without a role if the app requires assignment."""
    principal = store.directory.principal_of(app.client_id, user.tenant_id)
    if principal is None or not principal.assignment_required:
        return
    holders = frozenset((user.id, *store.directory.group_ids_of(user.id)))
    if not store.directory.roles_of(holders, principal.id):
        raise EntraError(50105, app=app.client_id, name=app.name)


def _redirect_to_client(sign_in: SignIn, fields: dict[str, str]) -> Response:
    """Send the fields to the client, with the state it sent."""
    state = sign_in.fields.get("state")
    content = fields if state is None else {**fields, "state": state}
    if sign_in.mode == "form_post":
        return form_post_page(sign_in.redirect_uri, content)
    return redirect(sign_in.redirect_uri, sign_in.mode, content)


def _account_picker(
    store: Store, request: Request, sign_in: SignIn, users: list[User], *, foreign: bool
) -> Response:
    """Show the accounts: the hinted one first, then those used recently.

    Args:
        store: The state.
        request: The request.
        sign_in: The sign-in request.
        users: Who may sign in.
        foreign: Whether another web page sent a choice, which is not obeyed.
    """
    fields = without_decision(sign_in.fields)
    fields.pop("user", None)
    return page(
        "sign_in.html",
        status=403 if foreign else 200,
        title="Pick an account",
        app=sign_in.app,
        people=sort_people(store, users, sign_in.text("login_hint")),
        tenants=store.directory.tenants,
        action=request.path,
        fields=fields,
        form_token=store.form_token,
        foreign=foreign,
        request_facts=_request_facts(sign_in),
    )


def sort_people(store: Store, users: list[User], hint: str = "") -> list[User]:
    """Return the users with the hinted one first, then those who signed in last."""
    order = {user_id: number for number, user_id in enumerate(store.state.sessions.recent)}
    return sorted(users, key=lambda u: (not (hint and hint in u.names()), order.get(u.id, len(order))))


def _request_facts(sign_in: SignIn) -> list[tuple[str, str]]:
    method = (sign_in.text("code_challenge_method") or "plain") if sign_in.text("code_challenge") else ""
    facts = [
        ("Client ID", sign_in.app.client_id),
        ("Redirect URI", sign_in.redirect_uri),
        ("Scopes", sign_in.scope),
        ("Response mode", sign_in.mode),
        ("prompt", sign_in.text("prompt")),
        ("login_hint", sign_in.text("login_hint")),
        ("PKCE", method or "not used"),
    ]
    return [(label, value) for label, value in facts if value]
