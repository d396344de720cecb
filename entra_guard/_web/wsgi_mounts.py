"""Find what WSGI middleware answers beside an application, where the application's own guard does not run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from inspect import getclosurevars, isfunction, ismethod
from typing import TYPE_CHECKING, Any, Final, cast

from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_LAYERS: Final = 200


def find_dispatchers(outermost: object, ends: Callable[[object], bool]) -> list[object]:
    """Return the layers that answer some prefixes themselves, such as werkzeug's DispatcherMiddleware.

    Args:
        outermost: The WSGI application that a server calls.
        ends: Returns whether a layer is not looked into: what is inside of it is guarded.
    """
    waiting, seen, found = [outermost], set[int](), list[object]()
    while waiting and len(seen) < _MAX_LAYERS:
        layer = waiting.pop()
        if id(layer) in seen or ends(layer):
            continue
        seen.add(id(layer))
        if prefixes_of(layer):
            found.append(layer)
        waiting += _held_by(layer)
    return found


def prefixes_of(layer: object) -> dict[str, object]:
    """Return the prefixes that a layer answers itself, each with what answers there."""
    held = _attributes(layer)
    mounts = cast("Mapping[object, object]", held.get("mounts"))
    if isinstance(mounts, Mapping) and all(map(callable, mounts.values())):  # pyright: ignore[reportUnnecessaryIsInstance]
        return {str(prefix): app for prefix, app in mounts.items()}
    if any(base.__module__.startswith("werkzeug.middleware.") for base in type(layer).__mro__):
        # SharedDataMiddleware and ProxyMiddleware
        return {**dict(held.get("exports", ())), **held.get("targets", {})}
    return {}


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


def _held_by(layer: object) -> list[Any]:
    """Return what a layer may call: its attributes, its closure, or what it is a method of."""
    if ismethod(layer):
        return [layer.__self__, layer.__func__]
    held = [*_attributes(layer).values()]
    if isinstance(layer, partial):
        held += [layer.func, *layer.args, *layer.keywords.values()]
    elif isfunction(layer):
        held += getclosurevars(layer).nonlocals.values()
    return [inner for inner in held if callable(inner) and not isinstance(inner, type)]


def _attributes(layer: object) -> dict[str, Any]:
    """Return an object's attributes without running its code, which proxies have for `__dict__`."""
    try:
        held: dict[str, Any] = object.__getattribute__(layer, "__dict__")
    except (AttributeError, RuntimeError):  # RuntimeError: a LocalProxy outside of a request
        return {}
    return held if isinstance(held, dict) else {}  # pyright: ignore[reportUnnecessaryIsInstance]
