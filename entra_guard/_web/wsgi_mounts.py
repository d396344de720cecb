"""Find what WSGI middleware serves beside an application, where the application's own guard does not run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from entra_guard._web.app_layers import held_by, layers_of, named_by
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


def find_dispatchers(outermost: object, ends: Callable[[object], bool]) -> list[object]:
    """Return the layers that serve some prefixes themselves, such as werkzeug's DispatcherMiddleware.

    A layer with an empty table is one of them, as the table may be filled later.

    Args:
        outermost: The WSGI application that a server calls.
        ends: Returns whether a layer is not looked into: what is inside of it is guarded.
    """

    def inner_of(layer: object) -> list[object]:
        mounted = {id(app) for app in prefixes_of(layer).values()}
        return [] if ends(layer) else [inner for inner in held_by(layer) if id(inner) not in mounted]

    layers = layers_of(outermost, inner=inner_of)
    return [layer for layer in layers if not ends(layer) and _may_dispatch(layer)]


def prefixes_of(layer: object) -> dict[str, object]:
    """Return the prefixes that a layer serves itself, each with what serves it."""
    held = named_by(layer)
    if any(base.__module__.startswith("werkzeug.middleware.") for base in type(layer).__mro__):
        # SharedDataMiddleware and ProxyMiddleware
        found = {**dict(held.get("exports", ())), **held.get("targets", {})}
    else:
        found = dict[str, object]()
    for name, table in held.items():
        if _is_table(table) and (name == "mounts" or all(str(prefix).startswith("/") for prefix in table)):
            found.update({str(prefix): app for prefix, app in table.items()})
    return found


def _may_dispatch(layer: object) -> bool:
    return bool(prefixes_of(layer)) or any(map(_is_table, named_by(layer).values()))


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) and all(map(callable, cast("Mapping[object, object]", value).values()))


def checked_prefixes(prefixes: object) -> frozenset[str]:
    """Return prefixes as they are compared, without slashes at their ends.

    Raises:
        ConfigurationError: They are not a list of prefixes such as '/metrics'.
    """
    if isinstance(prefixes, (str, bytes)) or not isinstance(prefixes, Iterable):
        raise ConfigurationError(f"mounts must be a list of prefixes such as '/metrics', got {prefixes!r}")
    return frozenset(_checked(prefix) for prefix in cast("Iterable[object]", prefixes))


def _checked(prefix: object) -> str:
    if not isinstance(prefix, str) or not prefix.startswith("/") or not normal(prefix):
        raise ConfigurationError(
            f"mounts must be a list of prefixes such as '/metrics', got {prefix!r} in it"
        )
    return normal(prefix)


def normal(prefix: str) -> str:
    """Return a prefix without slashes at its ends."""
    return prefix.strip("/")
