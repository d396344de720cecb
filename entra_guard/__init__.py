"""Protect a Python web API with Microsoft Entra ID tokens, and know why a request got a 401.

`Guard` verifies tokens, `asgi.GuardMiddleware` and `wsgi.GuardMiddleware` apply it to requests, `requires`
checks roles and scopes of one route, `current_principal` returns the caller. `entra_guard.credentials`
acquires tokens for outbound calls. `entra_guard.emulator` is an Entra emulator for trials and tests.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.version import __version__

if TYPE_CHECKING:
    from entra_guard._common.agent import Agent
    from entra_guard._guard.combined_guard import CombinedGuard
    from entra_guard._keys.authority import Authority
    from entra_guard._keys.health import Health
    from entra_guard._keys.settings import KeySettings
    from entra_guard._validation.explain import Explanation, Step
    from entra_guard.errors import (
        AccessError,
        ConfigurationError,
        EntraGuardError,
        FetchError,
        TokenAcquisitionError,
    )
    from entra_guard.guard import Guard
    from entra_guard.policy import Policy, Tenants
    from entra_guard.principal import Principal, current_principal
    from entra_guard.requirement import Requirement, requires

__all__ = [
    "AccessError",
    "Agent",
    "Authority",
    "CombinedGuard",
    "ConfigurationError",
    "EntraGuardError",
    "Explanation",
    "FetchError",
    "Guard",
    "Health",
    "KeySettings",
    "Policy",
    "Principal",
    "Requirement",
    "Step",
    "Tenants",
    "TokenAcquisitionError",
    "__version__",
    "current_principal",
    "requires",
]

# Where each name is. It is imported at its first use: the command line, the emulator and the pytest plugin
# do not wait for a guard that they may never make. `entra_guard.errors` and such need no import either.
_MODULES: Final = {
    "_guard.combined_guard": ("CombinedGuard",),
    "_common.agent": ("Agent",),
    "_keys.authority": ("Authority",),
    "_keys.health": ("Health",),
    "_keys.settings": ("KeySettings",),
    "_validation.explain": ("Explanation", "Step"),
    "errors": (
        "AccessError",
        "ConfigurationError",
        "EntraGuardError",
        "FetchError",
        "TokenAcquisitionError",
    ),
    "guard": ("Guard",),
    "policy": ("Policy", "Tenants"),
    "principal": ("Principal", "current_principal"),
    "requirement": ("Requirement", "requires"),
}


if not TYPE_CHECKING:  # for a type checker, a name that is misspelt stays an error

    def __getattr__(name: str) -> Any:
        """Import a public name, or a module of this package, at its first use."""
        if name in _MODULES and not name.startswith("_"):
            return import_module(f"{__name__}.{name}")
        for module, names in _MODULES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
