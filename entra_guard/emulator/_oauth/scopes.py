"""Reading a scope parameter: which API it names, and which of its permissions. Knows no directory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._store.directory import GRAPH

RESERVED: Final = ("openid", "profile", "email", "offline_access")
DEFAULT: Final = ".default"


@dataclass(frozen=True, slots=True)
class RequestedScopes:
    """What a scope parameter asks for.

    Attributes:
        resource: The API, by the name it was called; Graph for scopes without one.
        names: Its permissions, without the API's name; `.default` for all that are consented to.
        reserved: Those of OpenID Connect.
    """

    resource: str
    names: tuple[str, ...]
    reserved: tuple[str, ...] = ()

    @property
    def default(self) -> bool:
        return DEFAULT in self.names


def read_scopes(scope: str) -> RequestedScopes:
    """Take a scope parameter apart.

    Raises:
        EntraError: It names several APIs, or mixes `.default` with other permissions.
    """
    words = dict.fromkeys(scope.split())
    pairs = [_pair(word) for word in words if word not in RESERVED]
    resources = dict.fromkeys(resource for resource, _ in pairs)
    names = tuple(name for _, name in pairs)
    if len(resources) > 1:
        raise EntraError(28000, scope=scope)
    if DEFAULT in names and len(names) > 1:
        raise EntraError(70011, scope=scope)
    reserved = tuple(word for word in words if word in RESERVED)
    return RequestedScopes(next(iter(resources), GRAPH), names, reserved)


def _pair(word: str) -> tuple[str, str]:
    """An API and a permission: what is before the last slash, and after it. A bare word is Graph's."""
    resource, slash, name = word.rpartition("/")
    return (resource, name) if slash else (GRAPH, word)
