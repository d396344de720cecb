"""Check what an adapter is given: a guard, and an application. Imports no framework."""

from __future__ import annotations

from entra_guard.errors import ConfigurationError


def check_guard(guard: object) -> None:
    """Refuse what is not a guard, such as the class itself.

    Raises:
        ConfigurationError: It is not an instance with the methods of a guard.
    """
    if isinstance(guard, type):
        raise ConfigurationError(
            f"guard must be a Guard, got the class {guard.__name__}. "
            "Build one: Guard(tenant=..., audience=...)"
        )
    if not is_guard(guard):
        raise ConfigurationError(
            f"guard must be a Guard, got {_kind(guard)}. Build one: Guard(tenant=..., audience=...)"
        )


def check_app(app: object) -> None:
    """Refuse what cannot be an application of ASGI or WSGI.

    Raises:
        ConfigurationError: It cannot be called, or it is the guard.
    """
    if is_guard(app):
        raise ConfigurationError("app is the guard. Give the application as app, and the guard as guard")
    if not callable(app):
        raise ConfigurationError(f"app must be an application, got {_kind(app)}")


def is_guard(value: object) -> bool:
    """Return whether a value is a guard, or the class of one."""
    return hasattr(value, "averify")


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
