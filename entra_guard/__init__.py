"""Protect a Python web API with Microsoft Entra ID tokens, and know why a request got a 401.

`Guard` verifies tokens, `asgi.GuardMiddleware` and `wsgi.GuardMiddleware` apply it to requests, `requires`
checks roles and scopes of one route, `current_principal` returns the caller. `entra_guard.credentials`
acquires tokens for outbound calls. `entra_guard.emulator` is an Entra emulator for trials and tests.
"""

from entra_guard._combined_guard import CombinedGuard
from entra_guard._common.agent import Agent
from entra_guard._common.version import __version__
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
