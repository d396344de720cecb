"""Remember the functions that `requires` was put on, and find what a callable wraps."""

from __future__ import annotations

import inspect
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakKeyDictionary, WeakSet, ref

from entra_guard._common.after_fork import reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Owners:
    """The objects whose methods `requires` was put on, for one function."""

    def __init__(self) -> None:
        self._has_all = False  # a plain function, or the method of an object without weak references
        self._objects: list[ref[object]] = []  # by identity, as an object need not be hashable

    def add(self, owner: object) -> bool:
        """Remember an object, None for a plain function, and return whether it is new."""
        if self.may_include(owner):
            return False
        self._objects = [other for other in self._objects if other() is not None]
        if owner is not None:
            with suppress(TypeError):
                self._objects.append(ref(owner))
                return True
        self._has_all = True
        return True

    def may_include(self, owner: object) -> bool:
        """Return whether `requires` was put on the method of this object, or on the plain function."""
        return self._has_all or (owner is not None and any(other() is owner for other in self._objects))


class _Decorated:
    """The functions that `requires` was put on, so that adapters find a route without its decorator.

    `@requires` above a route's own decorator checks nothing: the framework has registered the function
    inside. Such a function is known here, and what `requires` returned for it is not a route's.
    """

    def __init__(self) -> None:
        # Changes when a function, or the method of another object, is decorated for the first time.
        self.count: int = 0
        self.after_fork()
        reset_after_fork(self)
        self._results: WeakKeyDictionary[object, WeakSet[object]] = WeakKeyDictionary()
        self._owners: WeakKeyDictionary[object, _Owners] = WeakKeyDictionary()
        self._handlers: WeakSet[object] = WeakSet()
        self._made: WeakSet[object] = WeakSet()

    def after_fork(self) -> None:
        """Start with a free lock."""
        self._lock = Lock()

    def add(self, handler: Callable[..., Any], result: Callable[..., Any]) -> None:
        """Remember a function, all that it wraps, and what `requires` returned for it."""
        if isinstance(handler, partial) and inspect.ismethod(handler.func):
            return  # Django's `method_decorator` makes one for each request, and it is not a route
        with self._lock, suppress(TypeError):  # of the few callables without weak references
            self._made.add(result)
            for depth, (function, owner) in enumerate(_layers(handler)):
                if depth == 0:
                    self._handlers.add(function)
                self._results.setdefault(function, WeakSet()).add(result)
                self.count += self._owners.setdefault(function, _Owners()).add(owner)

    def bare(self, endpoint: object) -> object | None:
        """Return the function that a route calls past its `requires`, None if there is none.

        Either `requires` was put on a layer around what the route calls, or what the route calls is a layer
        around what `requires` was put on. Two functions that only wrap the same one are independent.
        """
        with suppress(TypeError):
            for depth, (function, owner) in enumerate(_layers(endpoint)):
                owners = self._owners.get(function)
                is_related = depth == 0 or function in self._handlers
                if is_related and owners is not None and owners.may_include(owner):
                    return cast("object", function)
                if function in self._made:
                    return None
        return None

    def results(self, function: object) -> list[object]:
        """Return what `requires` made of a function."""
        with self._lock:
            return list(self._results.get(function, ()))


decorated: Final = _Decorated()


def unwrapped(function: Any) -> Iterator[Any]:
    """Yield a callable and all that it wraps: through partials, methods, `functools.wraps` and `__call__`."""
    return (layer for layer, _owner in _layers(function))


def called_object(value: Any) -> Any:
    """Return what a call reaches, through partials without arguments and an object's own `__call__`.

    Example:
        >>> called_object(partial(print)) is print
        True
    """
    while (inner := _reached_by(value)) is not value:
        value = inner
    return value


def _reached_by(value: Any) -> Any:
    if isinstance(value, partial):
        has_arguments = bool(value.args or value.keywords)
        return value if has_arguments else value.func  # pyright: ignore[reportUnknownVariableType]
    is_own_call = inspect.ismethod(value) and value.__func__ is own_call(value.__self__)
    return value.__self__ if is_own_call else value


def own_call(value: object) -> object:
    """Return the `__call__` of an object's class, None if it has none that Python defines."""
    return next((vars(base)["__call__"] for base in type(value).__mro__ if "__call__" in vars(base)), None)


def _layers(function: Any) -> Iterator[tuple[Any, object]]:
    """Yield a callable and all that it wraps, each with the object that it is a method of, or None."""
    seen: set[int] = set()
    while function is not None and id(function) not in seen:
        seen.add(id(function))
        owner = None
        if inspect.ismethod(function):
            function, owner = function.__func__, function.__self__
        yield function, owner
        function = (
            function.func if isinstance(function, partial) else _wrapped_by(function) or _bound_call(function)
        )


def _bound_call(value: Any) -> Any:
    """Return the method that a call of an object runs; None for functions, classes and builtins."""
    call = None if inspect.isroutine(value) or inspect.isclass(value) else own_call(value)
    return call.__get__(value) if inspect.isfunction(call) else None


def _wrapped_by(function: Any) -> Any:
    """Return what a function wraps, without the method whose attributes a class-based view has copied.

    `as_view()` of Django and REST framework gives each view the attributes of the class' `dispatch`, and so
    the `__wrapped__` of a decorator on it: a method of a base class that other views share.
    """
    inner = getattr(function, "__wrapped__", None)
    name = getattr(inner, "__qualname__", "")
    class_name = name.rpartition(".")[0]
    is_method = bool(class_name) and not class_name.endswith("<locals>")
    return None if is_method and getattr(function, "__qualname__", name) != name else inner
