"""The authorize endpoint: who wants to sign in to what, the choice of an account, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.html import page, posted
from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._oauth.redirects import MODES, only_uri, platform_of, redirect
from entra_guard.emulator._oauth.scopes import DEFAULT, RequestedScopes, read_scopes
from entra_guard.emulator._oauth.user_consent import consent_as, known_resource, missing_consent
from entra_guard.emulator._store.directory import CONSUMERS, PERSONAL_ACCOUNTS, AppRegistration, User
from entra_guard.emulator._store.sessions import Code

if TYPE_CHECKING:
    from entra_guard.emulator._directory.app_credentials import AppCredentials
    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._store.store import Store

ALIASES: Final = frozenset({"common", "organizations", "consumers"})
_METHODS: Final = ("plain", "S256")


@dataclass(frozen=True, slots=True)
class SignIn:
    """A request to sign in whose client and redirect URI are right, so that errors may go back there."""

    app: AppRegistration
    segment: str
    redirect_uri: str
    mode: str
    fields: dict[str, str]

    def text(self, name: str) -> str:
        return self.fields.get(name, "")

    @property
    def scope(self) -> str:
        """The scopes; at the v1.0 endpoint a resource stands for all that is consented to."""
        resource = self.text("resource")
        return self.text("scope") or (f"openid {resource}/{DEFAULT}" if resource else "")


def authorize(store: AppCredentials, request: Request, segment: str) -> Response:
    """Answer a request to the authorize endpoint: a page, or the way back to the client.

    Raises:
        EntraError: The client or its redirect URI is not right, so there is no way back.
    """
    fields = request.parameters() if request.method == "GET" else request.form()
    sign_in = read_sign_in(store, segment, fields)
    try:
        return _proceed(store, request, sign_in)
    except EntraError as problem:
        return _back(
            sign_in, {"error": problem.error, "error_description": str(problem), **_page_of(request, problem)}
        )


def _page_of(request: Request, problem: EntraError) -> dict[str, str]:
    return {"error_uri": f"{request.base}/error?code={problem.row.number}"} if problem.row.page else {}


def read_sign_in(store: Store, segment: str, fields: dict[str, str]) -> SignIn:
    """The request, if there is a way back to its client.

    Raises:
        EntraError: There is none.
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
    uri = fields.get("redirect_uri") or only_uri(app)
    if not uri:
        raise EntraError(900971)
    if platform_of(app, uri) is None:
        raise EntraError(50011, uri=uri, app=app.client_id)
    _check_reach(app, segment)
    mode = fields.get("response_mode", "query")
    return SignIn(app, segment, uri, mode if mode in MODES else "query", fields)


def _check_reach(app: AppRegistration, segment: str) -> None:
    if app.accounts == "AzureADMyOrg" and segment in ALIASES:
        raise EntraError(50194, app=app.client_id, name=app.name)


def _proceed(store: AppCredentials, request: Request, sign_in: SignIn) -> Response:
    _check_request(sign_in)
    scopes = read_scopes(sign_in.scope)
    people = accounts(store, sign_in.app, sign_in.segment)
    if request.method == "POST" and sign_in.text("decision") == "cancel":
        raise EntraError(65004)
    if request.method == "POST":
        return _signed_in(store, sign_in, scopes, _chosen(people, sign_in.text("user")))
    if sign_in.text("prompt") == "none":
        return _silently(store, sign_in, scopes, people)
    return _picker(store, request, sign_in, people, scopes)


def _check_request(sign_in: SignIn) -> None:
    kind = sign_in.text("response_type")
    if not kind:
        raise EntraError(900144, name="response_type")
    if kind != "code":
        raise EntraError(700054, value=kind)
    if not sign_in.scope:
        raise EntraError(900144, name="scope")
    method = sign_in.text("code_challenge_method") or "plain"
    if method not in _METHODS:
        raise EntraError(501481)


def accounts(store: Store, app: AppRegistration, segment: str) -> list[User]:
    """The people who may sign in to this app here."""
    tenant = store.directory.tenant(segment)
    everyone = (user for user in store.directory.users.values() if user.enabled)
    if tenant is not None:
        return [user for user in everyone if user.tenant_id == tenant.id]
    personal = app.accounts in PERSONAL_ACCOUNTS and segment != "organizations"
    work = app.accounts != "PersonalMicrosoftAccount" and segment != "consumers"
    return [user for user in everyone if (personal if user.tenant_id == CONSUMERS else work)]


def _chosen(people: list[User], user_id: str) -> User:
    user = next((user for user in people if user_id == user.id), None)
    if user is None:
        raise EntraError(50058)
    return user


def _silently(
    store: AppCredentials, sign_in: SignIn, scopes: RequestedScopes, people: list[User]
) -> Response:
    """Without a page. The emulator keeps no browser session, so `login_hint` must say who is signed in."""
    hint = sign_in.text("login_hint")
    user = next((user for user in people if hint and hint in user.names()), None)
    if user is None:
        raise EntraError(50058)
    if missing_consent(store, sign_in.app, user, scopes):
        raise EntraError(65001, error="consent_required", app=sign_in.app.client_id, name=sign_in.app.name)
    return _signed_in(store, sign_in, scopes, user)


def _signed_in(store: AppCredentials, sign_in: SignIn, scopes: RequestedScopes, user: User) -> Response:
    """Consent as the user, and send the client a code."""
    consent_as(store, sign_in.app, user, scopes)
    _check_assigned(store, sign_in.app, user)
    text = new_code(store, sign_in, user)
    return _back(sign_in, {"code": text, "session_state": store.ids.guid()})


def new_code(store: Store, sign_in: SignIn, user: User) -> str:
    """An authorization code for this user."""
    text = f"1.A{store.ids.text(96)}"
    code = Code(
        client_id=sign_in.app.client_id,
        tenant_id=user.tenant_id,
        user_id=user.id,
        scope=sign_in.scope,
        redirect_uri=sign_in.redirect_uri,
        issued=store.now(),
        challenge=sign_in.text("code_challenge"),
        method=sign_in.text("code_challenge_method") or "plain",
        nonce=sign_in.text("nonce"),
    )
    store.change(sessions=store.state.sessions.with_code(text, code))
    return text


def _check_assigned(store: Store, app: AppRegistration, user: User) -> None:
    """An app that requires assignment lets in only people who have a role of it."""
    principal = store.directory.principal_of(app.client_id, user.tenant_id)
    if principal is None or not principal.assignment_required:
        return
    holders = frozenset((user.id, *store.directory.group_ids_of(user.id)))
    if not store.directory.roles_of(holders, principal.id):
        raise EntraError(50105, app=app.client_id, name=app.name)


def _back(sign_in: SignIn, fields: dict[str, str]) -> Response:
    """Carry an answer back to the client, with the state it sent."""
    state = sign_in.fields.get("state")
    answer = fields if state is None else {**fields, "state": state}
    if sign_in.mode == "form_post":
        return posted(sign_in.redirect_uri, answer)
    return redirect(sign_in.redirect_uri, sign_in.mode, answer)


def _picker(
    store: Store, request: Request, sign_in: SignIn, people: list[User], scopes: RequestedScopes
) -> Response:
    api = known_resource(store, scopes.resource)
    names = {scope.value: scope.display_name or scope.value for scope in (api.scopes if api else ())}
    hint = sign_in.text("login_hint")
    return page(
        "sign_in.html",
        title="Pick an account",
        app=sign_in.app,
        api=api,
        permissions=[names.get(name, name) for name in scopes.names if name != DEFAULT],
        everything=scopes.default,
        people=sorted(people, key=lambda user: not (hint and hint in user.names())),
        tenants=store.directory.tenants,
        action=request.path,
        fields={name: value for name, value in sign_in.fields.items() if name not in {"user", "decision"}},
    )


def error_page(request: Request, problem: EntraError, correlation: str) -> Response:
    """An error there is no way back from: shown, never redirected."""
    context: dict[str, Any] = {"text": str(problem), "number": problem.row.number, "correlation": correlation}
    return page("error.html", status=400, title="Sign-in failed", path=request.path, **context)
