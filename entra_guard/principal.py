"""The caller of a request: `Principal`, and the context variable that has the current one."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final, cast, final

import msgspec

from entra_guard._common.agent import agent_of
from entra_guard._common.encoding import from_base64url
from entra_guard._common.mcp_identity import SdkUser
from entra_guard.errors import AccessError, EntraGuardError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, MutableMapping

    from entra_guard._common.agent import Agent

    ToHTTPError = Callable[[AccessError, MutableMapping[str, Any]], AccessError]
    Bound = tuple["Principal", ToHTTPError | None, MutableMapping[str, Any], object]


class Identity(msgspec.Struct, frozen=True, gc=False):
    """The cached part of a verified token: small, and not tracked by the garbage collector."""

    app_id: str
    tenant_id: str
    object_id: str
    subject: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    token_version: str
    is_app: bool | None
    is_guest: bool | None
    expires_at: float
    valid_until: float
    token_id: str
    payload: slice
    is_entra: bool = True


# Final, so that code compares types: `isinstance` with a struct takes longer if the answer is no.
@final
class Principal(msgspec.Struct, frozen=True, weakref=True):
    """The caller, from a verified token. Immutable, and without the token.

    Use (`tenant_id`, `object_id`) as the key of a user, and never authorize by a name or mail address
    (Microsoft: "Secure applications and APIs by validating claims"). Principals of the same token with the
    same groups are equal, also copies and pickles.
    """

    verified: Identity
    payload: bytes
    resolved_groups: tuple[str, ...] | None = None
    """Groups resolved through Microsoft Graph; None if not resolved."""

    @property
    def app_id(self) -> str:
        """Client id of the calling application ('azp' or 'appid')."""
        return self.verified.app_id

    @property
    def tenant_id(self) -> str:
        """Id of the tenant that issued the token ('tid')."""
        return self.verified.tenant_id

    @property
    def object_id(self) -> str:
        """Object id of the user, or of the application's service principal ('oid')."""
        return self.verified.object_id

    @property
    def subject(self) -> str:
        """The token's 'sub': a user has a different one in each application."""
        return self.verified.subject

    @property
    def roles(self) -> tuple[str, ...]:
        """App roles of the application or the user."""
        return self.verified.roles

    @property
    def scopes(self) -> tuple[str, ...]:
        """Scopes: delegated permissions, none in Entra's app-only tokens.

        Other issuers (`Authority.openid`, B2C) authorise applications by scopes too.
        """
        return self.verified.scopes

    @property
    def groups(self) -> tuple[str, ...]:
        """Object ids of the caller's groups, if the API's registration emits them."""
        if self.resolved_groups is not None:
            return self.resolved_groups
        groups: object = self.claims.get("groups")
        if not isinstance(groups, list):
            return ()
        return tuple(group for group in cast("list[object]", groups) if isinstance(group, str))

    @property
    def token_version(self) -> str:
        """'1.0' or '2.0'."""
        return self.verified.token_version

    @property
    def is_app(self) -> bool | None:
        """Whether an application calls in its own name, without a user.

        None if the issuer's tokens do not say, which Entra's always do: see `Authority.openid`.
        """
        return self.verified.is_app

    @property
    def is_guest(self) -> bool | None:
        """Whether the user is a guest of the tenant; None if the token does not say.

        The optional claim 'acct' says it (add it in the API's registration, "Token configuration"),
        or by an 'idp' that names another tenant. An application is not a guest.
        """
        return self.verified.is_guest

    @property
    def agent(self) -> Agent | None:
        """The AI agent that calls (Entra Agent ID), None if the token is not an agent's."""
        return agent_of(self.claims, is_app=self.is_app)

    @property
    def expires_at(self) -> float:
        """When the token expires, in seconds since the epoch."""
        return self.verified.expires_at

    @property
    def token_id(self) -> str:
        """The token's 'uti', its id in Entra's sign-in log; empty if it has none."""
        return self.verified.token_id

    @property
    def claims(self) -> dict[str, Any]:
        """All claims of the token. Each access parses them again, so changes to the dict have no effect."""
        claims: dict[str, Any] = msgspec.json.decode(from_base64url(self.payload))
        return claims

    @property
    def is_authenticated(self) -> bool:
        """True: part of Starlette's interface of a user."""
        return True

    @property
    def identity(self) -> str:
        """The object id, or the subject if there is none: part of Starlette's interface of a user."""
        return self.verified.object_id or self.verified.subject

    @property
    def display_name(self) -> str:
        """The user's name if the token has one, else the application's client id."""
        return str(self.claims.get("name") or self.verified.app_id)

    def as_dict(self) -> dict[str, Any]:
        """Return what an API may show to its caller: ids, roles and scopes, without the token.

        Example:
            >>> principal.as_dict()["roles"]
            ('Orders.Read',)
        """
        return {name: getattr(self, name) for name in _SHOWN}

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Iterate over the items of `as_dict`, so that `dict(principal)` works, as FastAPI calls it."""
        return iter(self.as_dict().items())

    def __hash__(self) -> int:
        """Return the hash of the token's claims: the other fields are made of them, and a slice has none."""
        return hash(self.payload)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> Any:
        """Let pydantic, and so FastAPI, write a principal as the object that `as_dict` returns.

        A principal is never read from a request's body.
        """
        from pydantic_core import core_schema  # noqa: PLC0415  # pydantic calls this

        kinds = {
            str: core_schema.str_schema(),
            float: core_schema.float_schema(),
            tuple: core_schema.tuple_schema([core_schema.str_schema()], variadic_item_index=0),
            bool: core_schema.nullable_schema(core_schema.bool_schema()),
        }
        fields = {name: core_schema.typed_dict_field(kinds[kind]) for name, kind in _SHOWN.items()}
        shown = core_schema.typed_dict_schema(fields)
        written = core_schema.plain_serializer_function_ser_schema(cls.as_dict, return_schema=shown)
        return core_schema.is_instance_schema(cls, serialization=written)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show no more than `repr` if rich prints; msgspec would show all fields."""
        return [("verified", self.verified)]

    def __repr__(self) -> str:
        return (
            f"Principal(app_id={self.app_id!r}, tenant_id={self.tenant_id!r}, object_id={self.object_id!r}, "
            f"roles={self.roles!r}, scopes={self.scopes!r}, is_app={self.is_app})"
        )


# What a principal shows of itself to a client, and the type of each.
_SHOWN: Final[dict[str, type]] = {
    "tenant_id": str,
    "object_id": str,
    "subject": str,
    "app_id": str,
    "display_name": str,
    "roles": tuple,
    "scopes": tuple,
    "is_app": bool,
    "is_guest": bool,
    "token_version": str,
    "token_id": str,
    "expires_at": float,
}


class NoPrincipalError(EntraGuardError, LookupError, RuntimeError):
    """`current_principal()` was called outside of a guarded request.

    Also a RuntimeError, by which werkzeug's proxies recognize that they are unbound.
    """


_current: Final[ContextVar[Bound | None]] = ContextVar("entra_guard.principal")
_MCP_SERVER: Final = "mcp.server.lowlevel.server"

PRINCIPAL: Final = "entra_guard.principal"
"""The key in an ASGI scope or WSGI environ under which the caller of the request is."""

OPENED_SESSION: Final = "entra_guard.mcp_session"
"""The key in the ASGI scope of a request that opened an MCP session: its context outlives the request."""


def current_principal() -> Principal:
    """Return the caller, anywhere below a guarded request.

    In a tool, resource or prompt of an MCP server it is the caller whose token came with the message, not
    the one who opened the session.

    Raises:
        NoPrincipalError: This is not called in a guarded request, or its path is public.
    """
    bound = _binding()
    if bound is None:
        raise NoPrincipalError(
            "There is no current principal: the path is public, the application has no guard, or this runs "
            "in a thread or task that was started before the request, or in the background of an MCP session"
        )
    return bound[0]


def current_request() -> tuple[Principal, MutableMapping[str, Any]] | None:
    """Return the caller and the ASGI scope or WSGI environ of its request; None outside of a request."""
    bound = _binding()
    return None if bound is None else (bound[0], bound[2])


def bind_principal(
    principal: Principal,
    to_http_error: ToHTTPError | None = None,
    request: MutableMapping[str, Any] | None = None,
) -> Token[Bound | None]:
    """Make a principal current for a request. Adapters call this, and `unbind_principal` at the end.

    Args:
        principal: The caller.
        to_http_error: Converts a refusal to an HTTP error of the framework.
        request: The ASGI scope or WSGI environ, an argument of `to_http_error`.
    """
    if request is None:
        request = {}
    else:
        request[PRINCIPAL] = principal
    if _MCP_SERVER not in sys.modules:
        return _current.set((principal, to_http_error, request, None))
    _SDK_USER.bind()
    return _current.set((principal, to_http_error, request, _mcp_message()))


def bind_no_principal(request: MutableMapping[str, Any]) -> Token[Bound | None]:
    """Make no principal current for a request that needs none, unless an outer guard has verified one.

    The context may be that of an earlier request: uvicorn runs the requests of a connection in the context of
    one that it made wait, because of a large body or of pipelining. A proxy sends requests of several clients
    on one connection. `unbind_principal` undoes this, too.
    """
    return _current.set(_current.get(None) if PRINCIPAL in request else None)


def as_http_error(error: AccessError) -> AccessError:
    """Return a refusal as the current framework's HTTP error; outside of a request return it unchanged."""
    bound = _binding()
    if bound is None:
        return error
    _principal, to_http_error, request, _message = bound
    return error if to_http_error is None else to_http_error(error, request)


def _binding() -> Bound | None:
    """Return what is bound for the work that runs here. Raises nothing: its frame would show a token."""
    bound = _current.get(None)
    message = _mcp_message()
    if bound is None:
        return None
    if message is None or message is bound[3]:
        return None if OPENED_SESSION in bound[2] else bound
    return _binding_of_message(message, bound)


def _caller() -> Principal | None:
    bound = _binding()
    return None if bound is None else bound[0]


_SDK_USER: Final = SdkUser(_caller)


def _mcp_message() -> Any:
    """Return the MCP message that is handled here, None if there is none.

    Version 1 of the MCP SDK handles all messages of a session in tasks that inherit the context of the
    request that opened it, and keeps the message's own request in this variable. Version 2 has no such
    variable: it runs each message in the context of its own request.
    """
    module = sys.modules.get(_MCP_SERVER)
    variable = None if module is None else getattr(module, "request_ctx", None)
    return None if variable is None else variable.get(None)


def mcp_request() -> Any:
    """Return the HTTP request of the MCP message that version 1 of the SDK handles here, or None."""
    return getattr(_mcp_message(), "request", None)


def _binding_of_message(message: Any, bound: Bound) -> Bound | None:
    """Return the caller of the HTTP request that carried an MCP message; what is bound may be another's."""
    scope = getattr(getattr(message, "request", None), "scope", None)
    if scope is None:
        # The message arrived over a WebSocket, stdio or memory, which have one caller from start to end.
        return None if bound[2].get("type") == "http" else bound
    principal = scope.get(PRINCIPAL)
    return (principal, None, scope, message) if isinstance(principal, Principal) else None


# Undoes `bind_principal`, given what that returned. Each request would pay for a function around it.
unbind_principal: Final[Callable[[Token[Bound | None]], None]] = _current.reset


@contextmanager
def acting(
    principal: Principal,
    to_http_error: ToHTTPError | None = None,
    request: MutableMapping[str, Any] | None = None,
) -> Generator[None]:
    """Make a principal current in a `with` block: for adapters, and for tests of code that they call.

    Example:
        >>> def test_orders_of_alice(entra):
        ...     with acting(entra.principal(user="alice", roles=["Orders.Read"])):
        ...         assert read_orders() == []
    """
    bound = bind_principal(principal, to_http_error, request)
    try:
        yield
    finally:
        unbind_principal(bound)
