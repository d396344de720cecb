"""Find what a tool, resource or prompt of an MCP server requires. Imports no MCP package.

Works on the servers of the MCP SDK 1.x (`FastMCP`) and 2.x (`MCPServer`) and of fastmcp 2.x and 4.x by their
methods. What is not found here is still checked by `@requires` when the SDK calls the function.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from entra_guard._common.decorated import decorated
from entra_guard._common.json_values import as_list, as_object
from entra_guard.errors import ConfigurationError
from entra_guard.requirement import requirements_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.principal import Principal
    from entra_guard.requirement import Alternatives


class Named(NamedTuple):
    """A tool, resource or prompt that a message names: its kind, and its name or URI."""

    kind: str
    name: str


# By kind: where the SDK's servers keep the components, and the methods that find one.
_LOOKUPS: Final = {
    "tool": ("_tool_manager", ("get_tool",)),
    "prompt": ("_prompt_manager", ("get_prompt",)),
    "resource": ("_resource_manager", ("get_resource", "get_resource_template")),
}
_BY_PARAMETER: Final = {
    "tools/call": ("tool", "name"),
    "prompts/get": ("prompt", "name"),
    "resources/read": ("resource", "uri"),
    "resources/subscribe": ("resource", "uri"),
}


def may_use(required: list[Alternatives], principal: Principal | None) -> bool:
    """Return whether a caller meets all requirements of a tool, resource or prompt."""
    return all(
        principal is not None and any(one.refusal_of(principal) is None for one in alternatives)
        for alternatives in required
    )


def required_of(component: Any) -> list[Alternatives]:
    """Return what the function of a component requires.

    Raises:
        ConfigurationError: `@requires` is above the server's own decorator, so that it checks nothing.
    """
    function = getattr(component, "fn", None)
    if decorated.bare(function) is not None:
        name = getattr(function, "__qualname__", repr(function))
        raise ConfigurationError(
            f"@requires on {name} is above the MCP server's own decorator, so that it checks nothing. Put it "
            "directly above the function, below @server.tool(). If it is meant to be open, too, register "
            "another function that calls it"
        )
    return requirements_of(function)


async def requirements_in(component: Any) -> list[Alternatives]:
    """Return what a component requires: its function, the tool it was made of, that of a mounted server.

    fastmcp makes tools of tools (`Tool.from_tool`) and mounts servers: the component that a caller sees has
    another function then, or none.
    """
    required = required_of(component)
    parent = getattr(component, "parent_tool", None)
    if parent is not None:
        required += await requirements_in(parent)
    mounted = getattr(component, "_server", None)
    if mounted is not None:
        kind = "prompt" if "Prompt" in type(component).__name__ else "tool"
        originals = (
            *_named(kind, getattr(component, "_original_name", None)),
            *_named("resource", getattr(component, "_original_uri", None)),
            *_named("resource", getattr(component, "_original_uri_template", None)),
        )
        for original in originals:
            required += await requirements_if_known(mounted, original) or []
    return required


async def required_by(server: Any, listed: Any) -> list[Alternatives]:
    """Return what a component in a list of a fastmcp server requires.

    fastmcp's cache of lists returns copies that have lost their function: the server has the original.
    If the server has none by this name, no caller may use the copy. The cache of fastmcp 2.x drops the
    prefixes of mounted servers.
    """
    kind, attribute = _COPIES.get(type(listed).__name__, ("", ""))
    if not kind or getattr(listed, "fn", None) is not None:
        return await requirements_in(listed)
    found = await requirements_if_known(server, Named(kind, str(getattr(listed, attribute))))
    return [()] if found is None else found


# fastmcp's base classes, which have no function: the kind and what names a component.
_COPIES: Final = {
    "Tool": ("tool", "name"),
    "Prompt": ("prompt", "name"),
    "Resource": ("resource", "uri"),
    "ResourceTemplate": ("resource", "uri_template"),
}


def components_in(method: str, params: Any) -> list[Named]:
    """Return the components that a JSON-RPC message uses.

    A completion and a subscription reveal something about a prompt or resource, too, and the function of the
    prompt or resource does not run for them.

    Args:
        method: The message's method, such as 'tools/call'.
        params: Its parameters, as they were sent.
    """
    if not isinstance(params, dict):
        return []
    values = cast("Mapping[str, Any]", params)
    if method in _BY_PARAMETER:
        kind, parameter = _BY_PARAMETER[method]
        return _named(kind, values.get(parameter))
    if method == "completion/complete":
        reference = as_object(values.get("ref"))
        return [*_named("prompt", reference.get("name")), *_named("resource", reference.get("uri"))]
    if method == "subscriptions/listen":
        listed = as_list(as_object(values.get("notifications")).get("resourceSubscriptions"))
        return [found for uri in listed for found in _named("resource", uri)]
    return []


def _named(kind: str, name: object) -> list[Named]:
    return [Named(kind, name)] if isinstance(name, str) else []


async def requirements_if_known(server: Any, component: Named) -> list[Alternatives] | None:
    """Return what a component requires, None if the server does not have it.

    Args:
        server: The MCP server.
        component: What a message names.
    """
    found = await _requirements_of_exact(server, component)
    if found is None and component.kind == "resource":
        uri = _normalized(component.name)
        return None if uri == component.name else await _requirements_of_exact(server, Named("resource", uri))
    return found


def _normalized(uri: str) -> str:
    """Return a URI as SDK 1.x reads it: 'TASKS://notes' is 'tasks://notes' (WHATWG URL standard)."""
    pydantic = sys.modules.get("pydantic")
    with suppress(Exception):
        return uri if pydantic is None else str(pydantic.AnyUrl(uri))
    return uri


async def _requirements_of_exact(server: Any, component: Named) -> list[Alternatives] | None:
    manager, getters = _LOOKUPS[component.kind]
    own = getattr(server, manager, None)
    if component.kind == "resource" and own is not None and not hasattr(server, "http_app"):
        resource = _resource(own, component.name)
        return None if resource is None else required_of(resource)
    holder = server if hasattr(server, "http_app") else own
    for getter in getters:
        found = await _found(holder, getter, component.name)
        if found is not None:
            return await requirements_in(found)
    # fastmcp 2.x finds a template by its pattern only.
    templates = await _found(server, "get_resource_templates") if component.kind == "resource" else None
    if isinstance(templates, dict):
        template = _matching(cast("Mapping[str, Any]", templates), component.name)
        return None if template is None else required_of(template)
    return None


def _resource(manager: Any, uri: str) -> Any:
    """Return a resource of the MCP SDK's servers, or the template that its URI matches or equals."""
    found = getattr(manager, "_resources", {}).get(uri)
    if found is not None:
        return found
    templates: Mapping[str, Any] = getattr(manager, "_templates", {})
    if uri in templates:
        return templates[uri]  # as completions name it
    return _matching(templates, uri)


def _matching(templates: Mapping[str, Any], uri: str) -> Any:
    """Return the template that a URI matches."""
    with suppress(Exception):
        return next((each for each in templates.values() if each.matches(uri) is not None), None)
    return None


async def _found(holder: Any, getter: str, *name: str) -> Any:
    # Servers raise their own errors for an unknown name, and the SDK responds with its own error later.
    with suppress(Exception):
        found = getattr(holder, getter)(*name)
        return await found if isawaitable(found) else found
    return None
