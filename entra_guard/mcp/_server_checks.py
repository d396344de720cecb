"""What `protect` checks of a server before it starts: mistakes that would leave something unprotected."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, cast

from entra_guard._common.logs import get_logger
from entra_guard.errors import ConfigurationError
from entra_guard.mcp._requirements import required_of

if TYPE_CHECKING:
    from collections.abc import Mapping

log: Final = get_logger("entra_guard")


def check_server(server: Any) -> None:
    """Check a server as far as its tools, resources and prompts are known yet.

    Raises:
        ConfigurationError: `@requires` is above one of the server's decorators, or tasks have no owner.
    """
    _check_order(server)
    _check_tasks(server)
    _warn_of_shared_cache(server)


def _check_order(server: Any) -> None:
    """Check that `@requires` is below the decorators of a server."""
    holders = [(getattr(server, manager, None), table) for manager, table in _TABLES]
    holders.append((getattr(server, "_local_provider", None), "_components"))  # fastmcp 4.x
    for holder, table in holders:
        components: object = getattr(holder, table, None)
        if isinstance(components, dict):
            for component in list(cast("Mapping[str, Any]", components).values()):
                required_of(component)


_TABLES: Final = (
    ("_tool_manager", "_tools"),
    ("_prompt_manager", "_prompts"),
    ("_resource_manager", "_resources"),
    ("_resource_manager", "_templates"),
)


def _check_tasks(server: Any) -> None:
    """Check that tasks have owners. Those of SDK 1.x belong to sessions."""
    # Its public property warns that tasks are deprecated, and that where there are none.
    handlers = getattr(getattr(server, "_mcp_server", None), "_experimental_handlers", None)
    if getattr(handlers, "task_support", None) is not None and server.settings.stateless_http:
        raise ConfigurationError(
            "stateless_http=True and experimental tasks exclude each other: a task belongs to a session, and "
            "without one all callers that know its id can read its result. Remove one of the two"
        )


def _warn_of_shared_cache(server: Any) -> None:
    """Log that the cache of a fastmcp 2.x server knows no callers: the response to one is sent to all."""
    for middleware in cast("list[object]", getattr(server, "middleware", [])):
        kind = type(middleware)
        knows_callers = hasattr(sys.modules.get(kind.__module__), "_get_auth_partition_key")  # fastmcp 4.x
        if kind.__name__ == "ResponseCachingMiddleware" and not knows_callers:
            log.warning(
                "ResponseCachingMiddleware of fastmcp 2.x has one cache for all callers: the response to one "
                "is sent to others. Remove it, or disable it for tools, resources and prompts with responses "
                "that depend on the caller."
            )
