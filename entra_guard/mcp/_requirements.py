"""Find what a tool, resource or prompt of an MCP server requires. Imports no MCP package.

Works on the servers of the MCP SDK 1.x (`FastMCP`) and 2.x (`MCPServer`) and of fastmcp 2.x and 4.x by their
methods. What is not found here is still checked by `@requires` when the SDK calls the function.
"""

from __future__ import annotations

from contextlib import suppress
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from entra_guard.requirement import requirements_of

if TYPE_CHECKING:
    from entra_guard.principal import Principal
    from entra_guard.requirement import Requirement

    Alternatives = tuple[Requirement, ...]

# By JSON-RPC method: the parameter that names the component, and where servers keep those.
_LOOKUPS: Final = {
    "tools/call": ("name", "_tool_manager", ("get_tool",)),
    "prompts/get": ("name", "_prompt_manager", ("get_prompt",)),
    "resources/read": ("uri", "_resource_manager", ("get_resource", "get_resource_template")),
}


def is_visible(component: Any, principal: Principal | None) -> bool:
    """Return whether a caller may use a tool, resource or prompt."""
    for alternatives in requirements_of(getattr(component, "fn", None)):
        if principal is None or all(one.refusal_of(principal) is not None for one in alternatives):
            return False
    return True


async def requirements_for(server: Any, method: str, params: Any) -> list[Alternatives]:
    """Return what a JSON-RPC request requires, nothing if that is not known.

    Args:
        server: The MCP server.
        method: The request's method, such as 'tools/call'.
        params: Its parameters, as they were sent.
    """
    if method not in _LOOKUPS or not isinstance(params, dict):
        return []
    parameter, manager, getters = _LOOKUPS[method]
    name: object = params.get(parameter)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(name, str):
        return []
    own = getattr(server, manager, None)
    if method == "resources/read" and own is not None and not hasattr(server, "http_app"):
        return requirements_of(getattr(_resource(own, name), "fn", None))
    holder = server if hasattr(server, "http_app") else own
    for getter in getters:
        found = await _found(holder, getter, name)
        if found is not None:
            return requirements_of(getattr(found, "fn", None))
    return []


def _resource(manager: Any, uri: str) -> Any:
    """Return a resource of the MCP SDK's servers, or the template that its URI matches."""
    found = getattr(manager, "_resources", {}).get(uri)
    if found is not None:
        return found
    templates = getattr(manager, "_templates", {}).values()
    with suppress(Exception):
        return next((template for template in templates if template.matches(uri) is not None), None)
    return None


async def _found(holder: Any, getter: str, name: str) -> Any:
    # Servers raise their own errors for an unknown name, and the SDK responds with its own error later.
    with suppress(Exception):
        found = getattr(holder, getter)(name)
        return await found if isawaitable(found) else found
    return None
