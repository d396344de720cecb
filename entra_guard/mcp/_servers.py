"""Make the ASGI application of an MCP server, and hide what a caller may not use."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from entra_guard.errors import ConfigurationError
from entra_guard.mcp._requirements import may_use, required_by, required_of
from entra_guard.principal import NoPrincipalError, current_principal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from entra_guard.principal import Principal

_LISTS: Final = (
    ("_tool_manager", "list_tools"),
    ("_prompt_manager", "list_prompts"),
    ("_resource_manager", "list_resources"),
    ("_resource_manager", "list_templates"),
)


def is_server(server: Any) -> bool:
    """Return whether an object is a server that can say what its tools require.

    An ASGI application cannot, nor can the SDK's low-level `Server`.
    """
    return hasattr(server, "http_app") or hasattr(server, "_tool_manager")


def app_of(server: Any, url: str, origins: tuple[str, ...], settings: Mapping[str, bool]) -> ASGIApp:
    """Return the ASGI application of a server, with its endpoint at the path of a URL.

    Args:
        server: The server, or an ASGI application.
        url: The URL of the endpoint.
        origins: Web pages that may call it.
        settings: `stateless_http` and `json_response`, where they are given.

    Raises:
        ConfigurationError: It is neither an MCP server nor an ASGI application, or is one with settings.
    """
    path = urlsplit(url).path or "/"
    if isinstance(server, type):
        raise ConfigurationError(f"server must be an MCP server, got the class {server.__name__}")
    if hasattr(server, "http_app"):
        made: ASGIApp = server.http_app(path=path, **settings)
        return made
    if hasattr(server, "streamable_http_app"):
        return _sdk_app(server, path, urlsplit(url).netloc, origins, settings)
    if callable(server):
        if settings:
            raise ConfigurationError(
                f"{' and '.join(settings)} need an MCPServer or FastMCP: an ASGI application is made already"
            )
        return cast("ASGIApp", server)
    raise ConfigurationError(
        f"server must be an MCPServer or FastMCP, or an ASGI application, got {type(server).__name__}"
    )


def _sdk_app(
    server: Any, path: str, host: str, origins: tuple[str, ...], given: Mapping[str, bool]
) -> ASGIApp:
    from mcp.server.transport_security import TransportSecuritySettings  # noqa: PLC0415

    settings = getattr(server, "settings", None)
    first_line = hasattr(settings, "streamable_http_path")  # SDK 1.x
    security = settings.transport_security if settings is not None and first_line else None
    security = security or TransportSecuritySettings(
        allowed_hosts=["127.0.0.1:*", "localhost:*", "[::1]:*"],
        allowed_origins=["http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*"],
    )
    security = security.model_copy(
        update={
            "allowed_hosts": [*security.allowed_hosts, host],
            "allowed_origins": [*security.allowed_origins, f"https://{host}", *origins],
        }
    )
    more: dict[str, Any] = {"streamable_http_path": path, "transport_security": security, **given}
    if settings is not None and first_line:
        for name, value in more.items():
            setattr(settings, name, value)
        more = {}
    return _AtHost(server.streamable_http_app(**more), host)


class _AtHost:
    """Gives an application the host of the URL that clients use: a proxy may send its own name for it.

    The SDK compares `Host` against DNS rebinding. Behind a guard a page needs a token for that, and the
    SDK still compares `Origin`.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app = app
        self._header = (b"host", host.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            others = [header for header in scope["headers"] if header[0] != b"host"]
            scope["headers"] = [self._header, *others]
        await self.app(scope, receive, send)


def hide_forbidden(server: Any) -> None:
    """Let a server list only the tools, resources and prompts that the caller may use."""
    if hasattr(server, "http_app"):
        # The outermost: a cache of lists inside of it holds what all callers may see, not what one may.
        server.middleware.insert(0, _fastmcp_filter(server))
        return
    for manager, name in _LISTS:
        holder = getattr(server, manager)
        setattr(holder, name, _filtering(getattr(holder, name)))


def _filtering(listed: Callable[[], list[Any]]) -> Callable[[], list[Any]]:
    def visible() -> list[Any]:
        caller = _caller()
        return [each for each in listed() if _is_visible(each, caller)]

    return visible


def _is_visible(component: Any, caller: Principal | None) -> bool:
    with suppress(ConfigurationError):
        return may_use(required_of(component), caller)
    return False


def _fastmcp_filter(server: Any) -> Any:
    from fastmcp.server.middleware import Middleware  # noqa: PLC0415

    async def visible(_self: Any, context: Any, call_next: Any) -> list[Any]:
        caller = _caller()
        found: list[Any] = []
        for each in await call_next(context):
            # `@requires` in the wrong place fails when the component is used, and says so to the operator.
            with suppress(ConfigurationError):
                if may_use(await required_by(server, each), caller):
                    found.append(each)
        return found

    names = ("on_list_tools", "on_list_prompts", "on_list_resources", "on_list_resource_templates")
    return type("HideForbidden", (Middleware,), dict.fromkeys(names, visible))()


def _caller() -> Principal | None:
    try:
        return current_principal()
    except NoPrincipalError:
        return None
