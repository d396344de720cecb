"""Authenticate and authorise calls to Graph; its errors and claims challenges."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._graph.errors import GraphRequestError
from entra_guard.emulator._graph.odata import Created, PlainText
from entra_guard.emulator._http.messages import Request, Response, json_response
from entra_guard.emulator._http.trail import note, note_api, note_client, note_failure, note_user
from entra_guard.emulator._store.entries import GRAPH, Tenant, User
from entra_guard.emulator._tokens.claims import BACKDATED
from entra_guard.emulator._tokens.jws import compact_json
from entra_guard.emulator._tokens.verification import InvalidTokenError, verify_own_token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._store.store import Store

_AUDIENCES: Final = frozenset({GRAPH, "https://graph.microsoft.com", "https://graph.microsoft.com/"})
_CONTENT_TYPE: Final = (
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
)
_FAILED_STEP: Final = {401: "token", 403: "permissions", 404: "object"}
_REVOKED: Final = (
    "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: "
    "TokenIssuedBeforeRevocationTimestamp"
)


@dataclass(frozen=True, slots=True)
class Call:
    """An authenticated call to Graph."""

    service: DirectoryService
    request: Request
    claims: dict[str, Any]
    tenant: Tenant

    @property
    def store(self) -> Store:
        return self.service.store

    @property
    def is_app(self) -> bool:
        return "scp" not in self.claims

    def permissions(self) -> frozenset[str]:
        """Return the token's permissions: roles of an app, scopes of a user."""
        granted = self.claims.get("roles", []) if self.is_app else str(self.claims["scp"]).split()
        return frozenset(granted)

    def user(self) -> User:
        """Return the calling user.

        Raises:
            GraphRequestError: The caller is an app.
        """
        user = None if self.is_app else self.store.directory.users.get(str(self.claims.get("oid")))
        if user is None:
            words = "/me request is only valid with delegated authentication flow."
            raise GraphRequestError(400, "BadRequest", words)
        return user

    def body(self) -> dict[str, Any]:
        """Return the JSON object in the body.

        Raises:
            GraphRequestError: The body is not a JSON object.
        """
        try:
            content = self.request.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise GraphRequestError(400, "BadRequest", "Unable to read JSON request payload.")
        return content  # pyright: ignore[reportUnknownVariableType]


def authorize(
    service: DirectoryService, request: Request, roles: Iterable[str], scopes: Iterable[str]
) -> Call:
    """Authenticate a call and check that it has one of these permissions.

    Raises:
        GraphRequestError: The token is not valid, or lacks the permissions.
    """
    call = authenticate(service, request)
    _note_caller(call)
    if call.permissions().isdisjoint(roles if call.is_app else scopes):
        raise GraphRequestError(
            403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
        )
    return call


def _note_caller(call: Call) -> None:
    """Record who calls, for the activity record."""
    directory, claims = call.store.directory, call.claims
    client_id = str(claims.get("azp") or claims.get("appid"))
    app = directory.apps.get(client_id)
    note("token", "valid, for Microsoft Graph")
    note_client(client_id, app.name if app else str(claims.get("app_displayname", client_id)))
    note_api("Microsoft Graph")
    user = None if call.is_app else directory.users.get(str(claims.get("oid")))
    if user is not None:
        note_user(user.display_name)
    note("permissions", ", ".join(sorted(call.permissions())) or "none")


def authenticate(service: DirectoryService, request: Request) -> Call:
    """Verify that the token is valid, for Graph, and not revoked.

    Raises:
        GraphRequestError: It is not.
    """
    scheme, _, token = (request.header("authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise _unauthorized(request, "Access token is empty.")
    try:
        claims = verify_own_token(service.store, token.strip())
    except InvalidTokenError as error:
        raise _unauthorized(request, f"Access token validation failure. {error}") from None
    if claims.get("aud") not in _AUDIENCES:
        raise _unauthorized(request, "Access token validation failure. Invalid audience.")
    tenant = service.directory.tenants.get(str(claims.get("tid")))
    if tenant is None:
        raise _unauthorized(request, "Access token validation failure. Invalid tenant.")
    _check_revocation(service.store, request, claims)
    return Call(service, request, claims, tenant)


def _unauthorized(request: Request, message: str) -> GraphRequestError:
    error = GraphRequestError(401, "InvalidAuthenticationToken", message)
    uri = f"{request.base}/common/oauth2/authorize"
    challenge = f'Bearer realm="", authorization_uri="{uri}", client_id="{GRAPH}"'
    error.headers = (("WWW-Authenticate", challenge),)
    return error


def _check_revocation(store: Store, request: Request, claims: dict[str, Any]) -> None:
    """Challenge a token issued before its principal was revoked, if the client can handle challenges."""
    sessions, principal = store.state.sessions, str(claims.get("oid"))
    issued = float(claims.get("iat", 0)) + BACKDATED
    if "cp1" in claims.get("xms_cc", []) and sessions.is_revoked(principal, issued):
        raise claims_challenge(request, int(sessions.revoked[principal]))


def claims_challenge(request: Request, since: int) -> GraphRequestError:
    """Return the error that requires a newer token: two challenges in one header, as Graph sends them.

    Args:
        request: The request.
        since: Tokens issued before this time are refused, in seconds since 1970.
    """
    wanted = {"access_token": {"nbf": {"essential": True, "value": str(since)}}}
    claims = base64.b64encode(compact_json(wanted)).decode()
    uri = f"{request.base}/common/oauth2/authorize"
    common = f'realm="", authorization_uri="{uri}", client_id="{GRAPH}"'
    proof = f'PoP {common}, nonce="{base64.urlsafe_b64encode(str(since).encode()).decode()}"'
    bearer = (
        f'Bearer {common}, error_description="{_REVOKED}", error="insufficient_claims", claims="{claims}"'
    )
    error = GraphRequestError(401, "InvalidAuthenticationToken", _REVOKED)
    error.headers = (("WWW-Authenticate", f"{proof}, {bearer}"),)
    return error


def graph_json(store: Store, request: Request, content: Any, status: int = 200) -> Response:
    """Return a response with Graph's usual headers."""
    if content is None:
        return Response(status, b"", _graph_headers(store, request))
    if isinstance(content, PlainText):
        return Response(
            status, content.encode(), (("Content-Type", "text/plain"), *_graph_headers(store, request))
        )
    status = 201 if isinstance(content, Created) else status
    plain = json_response(content, status)
    return Response(status, plain.body, (("Content-Type", _CONTENT_TYPE), *_graph_headers(store, request)))


def graph_error_response(store: Store, request: Request, error: GraphRequestError) -> Response:
    """Return the error in Graph's format."""
    note_failure(_FAILED_STEP.get(error.status, "request"), str(error))
    headers = dict(_graph_headers(store, request))
    date = dt.datetime.fromtimestamp(store.now(), dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    inner = {"date": date, **{name: headers[name] for name in ("request-id", "client-request-id")}}
    content = {"code": error.code, "message": str(error), "innerError": inner}
    response = json_response({"error": content}, error.status)
    return response.with_headers(*headers.items(), *error.headers)


def _graph_headers(store: Store, request: Request) -> tuple[tuple[str, str], ...]:
    identifier = store.ids.guid()
    return (
        ("OData-Version", "4.0"),
        ("request-id", identifier),
        ("client-request-id", request.header("client-request-id") or identifier),
        (
            "x-ms-ags-diagnostic",
            '{"ServerInfo":{"DataCenter":"Emulator","Ring":"1","RoleInstance":"loopback"}}',
        ),
    )
