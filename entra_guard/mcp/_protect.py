"""`protect`: an MCP server behind a guard, with the discovery that MCP clients need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from entra_guard._common.arguments import check_flags
from entra_guard._common.boundary import clear_own_frames
from entra_guard._common.permission_names import requested_scopes
from entra_guard._web.adapter_arguments import check_guard
from entra_guard._web.asgi_response import send_response
from entra_guard._web.asgi_scope import routed_path
from entra_guard._web.http_errors import unconverted
from entra_guard.asgi import GuardMiddleware
from entra_guard.errors import ConfigurationError
from entra_guard.mcp._metadata import ResourceMetadata
from entra_guard.mcp._origins import origins_of, with_cors
from entra_guard.mcp._server_checks import check_server
from entra_guard.mcp._servers import app_of, hide_forbidden, is_server
from entra_guard.mcp._tool_check import ToolCheck
from entra_guard.mcp._tool_errors import as_tool_error
from entra_guard.requirement import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractAsyncContextManager

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from entra_guard._guard.combined_guard import CombinedGuard
    from entra_guard.errors import AccessError
    from entra_guard.guard import Guard

_METADATA_HEADERS: Final = {
    "content-type": "application/json",
    "cache-control": "public, max-age=300",
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, HEAD, OPTIONS",
    "access-control-allow-headers": "*",
}


def protect(
    server: Any,
    guard: Guard | CombinedGuard,
    *,
    url: str,
    scopes: Iterable[str] = (),
    name: str = "",
    hide: bool = False,
    public: Iterable[str] = (),
    origins: Iterable[str] = (),
    close_at_expiry: bool | None = None,
    stateless_http: bool | None = None,
    json_response: bool | None = None,
) -> ProtectedServer:
    """Return an MCP server as an ASGI application that only callers with a valid token can use.

    Each message is checked against the token of the request that carries it, and a session belongs to the
    tenant, object and client that opened it. `current_principal()` and `@requires` work in tools, resources
    and prompts. A call of a tool whose requirement the caller does not meet gets 403 with the scopes needed.

    Args:
        server: An `MCPServer` or `FastMCP` of the MCP SDK, a `FastMCP` of fastmcp, or any ASGI application.
        guard: The guard of the API.
        url: The URL of the MCP endpoint, as clients use it. Its path is where the server is.
        scopes: Scopes that a signed-in user's token must have, listed in the metadata for clients to request:
            'access_as_user', or 'api://.../access_as_user'. Applications need app roles instead.
        name: The server's name in the metadata.
        hide: List only the tools, resources and prompts that the caller may use.
        public: Paths that need no token, such as ['/healthz'].
        origins: Web pages that may call the server from a browser, such as ['https://inspector.example']:
            CORS (Fetch standard), and the `Origin` header that the SDK accepts.
        close_at_expiry: None ends GET streams and subscriptions with their token, True all streams, False
            none.
        stateless_http: Without sessions, so that requests may reach any process; None as the server has it.
        json_response: Respond with JSON in place of a stream of events; None as the server has it.

    Raises:
        ConfigurationError: A setting that cannot work.

    Example:
        >>> tasks = protect(server, guard, url="https://tasks.example/mcp", scopes=["access_as_user"])
    """
    transport = {"stateless_http": stateless_http, "json_response": json_response}
    given = {setting: value for setting, value in transport.items() if value is not None}
    check_flags(hide=hide, **given)
    check_guard(guard)
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"name must be a string, got {name!r}")
    names = requested_scopes(scopes)
    metadata = ResourceMetadata(guard, url, names, name or str(getattr(server, "name", "")))
    if hide and not is_server(server):
        raise ConfigurationError(
            f"hide=True needs an MCPServer or FastMCP, got {type(server).__name__}: pass the server, not its "
            "ASGI app"
        )
    pages = origins_of(origins)
    app = app_of(server, url, pages, given)
    if is_server(server):
        check_server(server)
    if hide:
        hide_forbidden(server)
    required = (
        (Requirement(app_only=True), Requirement(scopes=[scope.rpartition("/")[2] for scope in names]))
        if names
        else ()
    )
    checked = ToolCheck(app, server if is_server(server) else None, metadata, required)
    guarded = _McpGuard(checked, guard=guard, public=public, close_at_expiry=close_at_expiry)
    if guarded.is_open(metadata.path or "/"):
        raise ConfigurationError(
            f"public={public!r} makes the MCP endpoint {metadata.path or '/'!r} public, so that no caller is "
            "known and sessions belong to no one. Remove it from public"
        )
    return ProtectedServer(with_cors(_Discoverable(guarded, metadata), pages), app, metadata)


class ProtectedServer:
    """What `protect` returns: an ASGI application, and the lifespan that another application must run for it.

    Args:
        app: The guarded application.
        server: The application of the MCP server.
        metadata: What the first client reads.
    """

    def __init__(self, app: ASGIApp, server: ASGIApp, metadata: ResourceMetadata) -> None:
        self.app = app
        self._server = server
        self._metadata = metadata

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._metadata.prepare()
        try:
            await self.app(scope, receive, send)
        except BaseException as error:
            del scope  # this frame stays in the traceback
            clear_own_frames(error)
            raise

    def lifespan(self, _app: object = None) -> AbstractAsyncContextManager[Any]:
        """Return the lifespan of the MCP server, for an application in which this one is mounted.

        Starlette and FastAPI do not run the lifespan of mounted applications.

        Raises:
            ConfigurationError: The server's application is not Starlette's.

        Example:
            >>> tasks = protect(server, guard, url="https://tasks.example/mcp")
            >>> app = FastAPI(lifespan=tasks.lifespan)
            >>> app.mount("/", tasks)
        """
        app: Any = self._server
        while app is not None and not hasattr(app, "router"):
            app = getattr(app, "app", None)
        if app is None:
            raise ConfigurationError("the lifespan of this application is not known: run it yourself")
        self._metadata.prepare()
        found: AbstractAsyncContextManager[Any] = app.router.lifespan_context(app)
        return found


class _McpGuard(GuardMiddleware):
    """Expects a stream of events in each response: MCP clients accept them also with '*/*'."""

    _expects_events = True

    def is_open(self, path: str) -> bool:
        """Return whether a path needs no token."""
        return self._authenticator.is_public(path)

    def _to_http_error(self, error: AccessError, scope: Scope) -> AccessError:
        """Return a refusal inside a tool as the server's own error: it sends only those to the client."""
        if not cast("ToolCheck", self.app).has_server:
            return super()._to_http_error(error, scope)
        return as_tool_error(self._authenticator.linked(unconverted(error, scope)))


class _Discoverable:
    """Serves the metadata of the resource, and adds its URL to challenges."""

    def __init__(self, app: ASGIApp, metadata: ResourceMetadata) -> None:
        self.app = app
        self._metadata = metadata
        # What it responds to itself, without a token.
        self.own_paths = tuple(sorted(metadata.paths))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            is_metadata = bool({path, routed_path(scope)} & self._metadata.paths)
            if is_metadata and scope["method"] in {"GET", "HEAD", "OPTIONS"}:
                await self._send_metadata(scope["method"], send)
                return
            if path == self._metadata.path:
                # Below a mount point or the prefix of a proxy, too, the server is where the URL says.
                scope["root_path"] = ""
            send = self._with_challenge(send)
        await self.app(scope, receive, send)

    async def _send_metadata(self, method: str, send: Send) -> None:
        is_preflight = method == "OPTIONS"
        status, body = (204, b"") if is_preflight else (200, self._metadata.body())
        await send_response(send, "http.response", status, _METADATA_HEADERS, body, head=method == "HEAD")

    def _with_challenge(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= _REFUSED:
                headers = [
                    (name, self._challenge(value, message["status"]))
                    if name.lower() == b"www-authenticate"
                    else (name, value)
                    for name, value in message.get("headers", ())
                ]
                message = {**message, "headers": headers}
            await send(message)

        return sending

    def _challenge(self, value: bytes, status: int) -> bytes:
        return self._metadata.challenge(value.decode("latin-1"), status).encode("latin-1")


_REFUSED: Final = 400
