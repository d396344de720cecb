"""Who may call Graph for what: tokens, permissions, claims challenges and errors in Graph's words."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._graph.odata import GraphError
from entra_guard.emulator._http.messages import Request, Response, json_response
from entra_guard.emulator._store.directory import GRAPH, Tenant, User
from entra_guard.emulator._tokens.claims import BACKDATED
from entra_guard.emulator._tokens.jws import minified
from entra_guard.emulator._tokens.verification import InvalidTokenError, verify_own_token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from entra_guard.emulator._directory.app_credentials import AppCredentials
    from entra_guard.emulator._store.store import Store

_AUDIENCES: Final = frozenset({GRAPH, "https://graph.microsoft.com", "https://graph.microsoft.com/"})
_CONTENT_TYPE: Final = (
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
)
_REVOKED: Final = (
    "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: "
    "TokenIssuedBeforeRevocationTimestamp"
)


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated call to Graph."""

    store: AppCredentials
    request: Request
    claims: dict[str, Any]
    tenant: Tenant

    @property
    def is_app(self) -> bool:
        return "scp" not in self.claims

    def permissions(self) -> frozenset[str]:
        """What the token allows: roles of an app, scopes of a user."""
        granted = self.claims.get("roles", []) if self.is_app else str(self.claims["scp"]).split()
        return frozenset(granted)

    def user(self) -> User:
        """Who is calling.

        Raises:
            GraphError: It is an app.
        """
        user = None if self.is_app else self.store.directory.users.get(str(self.claims.get("oid")))
        if user is None:
            words = "/me request is only valid with delegated authentication flow."
            raise GraphError(400, "BadRequest", words)
        return user

    def body(self) -> dict[str, Any]:
        """The JSON object that was sent.

        Raises:
            GraphError: It is none.
        """
        try:
            content = self.request.json()
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise GraphError(400, "BadRequest", "Unable to read JSON request payload.")
        return content  # pyright: ignore[reportUnknownVariableType]


def admit(store: AppCredentials, request: Request, roles: Iterable[str], scopes: Iterable[str]) -> Call:
    """The call, if its token is Graph's, valid, not revoked, and has one of these permissions.

    Raises:
        GraphError: It is not admitted.
    """
    call = authenticated(store, request)
    if call.permissions().isdisjoint(roles if call.is_app else scopes):
        raise GraphError(
            403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
        )
    return call


def authenticated(store: AppCredentials, request: Request) -> Call:
    """The call, if its token is Graph's, valid and not revoked.

    Raises:
        GraphError: It is not.
    """
    scheme, _, token = (request.header("authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise _unauthorized(request, "Access token is empty.")
    try:
        claims = verify_own_token(store, token.strip())
    except InvalidTokenError as problem:
        raise _unauthorized(request, f"Access token validation failure. {problem}") from None
    if claims.get("aud") not in _AUDIENCES:
        raise _unauthorized(request, "Access token validation failure. Invalid audience.")
    tenant = store.directory.tenants.get(str(claims.get("tid")))
    if tenant is None:
        raise _unauthorized(request, "Access token validation failure. Invalid tenant.")
    _check_revocation(store, request, claims)
    return Call(store, request, claims, tenant)


def _unauthorized(request: Request, message: str) -> GraphError:
    problem = GraphError(401, "InvalidAuthenticationToken", message)
    uri = f"{request.base}/common/oauth2/authorize"
    challenge = f'Bearer realm="", authorization_uri="{uri}", client_id="{GRAPH}"'
    problem.headers = (("WWW-Authenticate", challenge),)
    return problem


def _check_revocation(store: Store, request: Request, claims: dict[str, Any]) -> None:
    """Challenge a token issued before its principal was revoked, if its client said it can handle that."""
    sessions, principal = store.state.sessions, str(claims.get("oid"))
    issued = float(claims.get("iat", 0)) + BACKDATED
    if "cp1" in claims.get("xms_cc", []) and sessions.is_revoked(principal, issued):
        raise claims_challenge(request, int(sessions.revoked[principal]))


def claims_challenge(request: Request, since: int) -> GraphError:
    """The refusal that asks for a newer token: two challenges in one header, as Graph sends them.

    Args:
        request: What was asked.
        since: The time before which tokens are refused, in seconds since 1970.
    """
    wanted = {"access_token": {"nbf": {"essential": True, "value": str(since)}}}
    claims = base64.b64encode(minified(wanted)).decode()
    uri = f"{request.base}/common/oauth2/authorize"
    common = f'realm="", authorization_uri="{uri}", client_id="{GRAPH}"'
    proof = f'PoP {common}, nonce="{base64.urlsafe_b64encode(str(since).encode()).decode()}"'
    bearer = (
        f'Bearer {common}, error_description="{_REVOKED}", error="insufficient_claims", claims="{claims}"'
    )
    problem = GraphError(401, "InvalidAuthenticationToken", _REVOKED)
    problem.headers = (("WWW-Authenticate", f"{proof}, {bearer}"),)
    return problem


def graph_json(store: Store, request: Request, content: Any, status: int = 200) -> Response:
    """An answer with the headers Graph puts on all of them."""
    if content is None:
        return Response(status, b"", _identifiers(store, request))
    plain = json_response(content, status)
    return Response(status, plain.body, (("Content-Type", _CONTENT_TYPE), *_identifiers(store, request)))


def graph_refusal(store: Store, request: Request, problem: GraphError) -> Response:
    """The error in Graph's words."""
    headers = dict(_identifiers(store, request))
    date = dt.datetime.fromtimestamp(store.now(), dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    inner = {"date": date, **{name: headers[name] for name in ("request-id", "client-request-id")}}
    error = {"code": problem.code, "message": str(problem), "innerError": inner}
    response = json_response({"error": error}, problem.status)
    return response.adding(*headers.items(), *problem.headers)


def _identifiers(store: Store, request: Request) -> tuple[tuple[str, str], ...]:
    identifier = store.ids.guid()
    return (
        ("request-id", identifier),
        ("client-request-id", request.header("client-request-id") or identifier),
        (
            "x-ms-ags-diagnostic",
            '{"ServerInfo":{"DataCenter":"Emulator","Ring":"1","RoleInstance":"loopback"}}',
        ),
    )
