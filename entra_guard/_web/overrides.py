"""Find code of an application in place of a library's: a class that overrides what decides."""

from __future__ import annotations

from functools import partial
from inspect import isclass, ismethod
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.decorated import called_object, unwrapped
from entra_guard._web.app_layers import attributes_of, is_library_code, named_by
from entra_guard._web.authenticator import RequestAuthenticator

if TYPE_CHECKING:
    from collections.abc import Iterable

_HARMLESS: Final = frozenset(
    {"__init__", "__doc__", "__module__", "__qualname__", "__dict__", "__weakref__"}
) | {
    *("__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__", "__slots__"),
    *("__firstlineno__", "__static_attributes__", "__parameters__", "__orig_bases__", "__repr__", "__str__"),
}


_ENTRANCES: Final = {"flask": ("__call__", "wsgi_app", "full_dispatch_request", "preprocess_request")}


def overridden(kind: type, package: str, names: Iterable[str] | None = None) -> str:
    """Return the first member of a package's class that a class derived from it replaces; '' if none does.

    Args:
        kind: The class of the object.
        package: The package whose code is known, such as 'rest_framework'.
        names: The members that matter; None for all that the package's class has.
    """
    own = [base for base in kind.__mro__ if _is_of(base, package)]
    if not own:
        return kind.__name__
    known = {name for base in own for name in vars(base)} if names is None else set(names)
    for base in kind.__mro__[: kind.__mro__.index(own[0])]:
        for name in vars(base):
            if name in known and name not in _HARMLESS and not _is_ours(vars(base)[name]):
                return f"{base.__name__}.{name}"
    return ""


def authenticator_of(layer: Any) -> RequestAuthenticator | None:
    """Return what a guard of ours does with a request; None if the layer is not one.

    `functools.wraps` copies the attributes of a guard to a function, which is not one.
    """
    layer = called_object(layer)
    if not any(_is_of(base, "entra_guard") for base in type(layer).__mro__):
        return None
    found = attributes_of(layer).get("_authenticator")
    return found if isinstance(found, RequestAuthenticator) else None


def decides_by_itself(layer: object) -> str:
    """Return why a guard may let a request without a token pass: its class replaces code of the guard."""
    reached: object = called_object(layer)
    found = overridden(type(reached), "entra_guard")
    return f"{found} replaces code of the guard, and decides by itself" if found else ""


def around_a_guard(call: object) -> str:
    """Return why it is not known whether a callable that is not a guard verifies a token; '' if it has none.

    A function that wraps or names a guard, an object that holds one, or another method of a guard.
    """
    for layer in unwrapped(call):
        if any(map(authenticator_of, (layer, *named_by(layer).values()))):
            return f"{_called_name(call)} uses a guard, and decides by itself"
    return other_method_of_guard(call)


def other_method_of_guard(call: object) -> str:
    """Return why a method of a guard, other than its `__call__`, may let a request without a token pass."""
    call = called_object(call)
    if not ismethod(call) or authenticator_of(call.__self__) is None:
        return ""
    return f"{call.__qualname__} is not what a guard is called by, and decides by itself"


def _called_name(call: Any) -> str:
    while isinstance(call, partial):
        call = call.func
    return str(getattr(call, "__qualname__", type(call).__name__))


def replaces_framework(app: object, framework: str) -> str:
    """Return why an application may respond without its guards: its class replaces the framework's code."""
    kind = type(app)
    package = "fastapi" if any(_is_of(base, "fastapi") for base in kind.__mro__) else framework
    found = overridden(kind, package, _ENTRANCES.get(framework, ("__call__",)))
    return f"{found} replaces code of {package}, and decides by itself" if found else ""


def class_members(layer: object) -> list[object]:
    """Return what the classes of a layer hold, without those of libraries: functions, and other objects."""
    kinds = [kind for kind in type(layer).__mro__ if not is_library_code(kind)]
    held = [value for kind in kinds for value in vars(kind).values()]
    bare = [getattr(value, "fget", None) or getattr(value, "__func__", None) or value for value in held]
    return [value for value in bare if callable(value) and not isclass(value)]


def _is_ours(member: object) -> bool:
    return str(getattr(member, "__module__", "")).startswith("entra_guard.")


def _is_of(base: type, package: str) -> bool:
    return base.__module__ == package or base.__module__.startswith(f"{package}.")
