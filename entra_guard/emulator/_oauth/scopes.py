"""Parse the scope parameter: the API it names and the permissions of that API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from entra_guard.emulator._oauth.errors import EntraError
from entra_guard.emulator._store.entries import GRAPH

RESERVED: Final = ("openid", "profile", "email", "offline_access")
DEFAULT: Final = ".default"


@dataclass(frozen=True, slots=True)
class RequestedScopes:
    """The content of a scope parameter.

    Attributes:
        resource: The API, by the name in the request; Graph for scopes without an API.
        names: Its permissions, without the API's name; `.default` for all that are consented to.
        reserved: The scopes of OpenID Connect.
    """

    resource: str
    names: tuple[str, ...]
    reserved: tuple[str, ...] = ()

    @property
    def default(self) -> bool:
        return DEFAULT in self.names


def parse_scopes(scope: str) -> RequestedScopes:
    """Parse a scope parameter.

    Raises:
        EntraError: It names several APIs, or combines `.default` with other permissions.
    """
    words = dict.fromkeys(scope.split())
    pairs = [_resource_and_permission(word) for word in words if word not in RESERVED]
    resources = dict.fromkeys(resource for resource, _ in pairs)
    names = tuple(name for _, name in pairs)
    if len(resources) > 1:
        raise EntraError(28000, scope=scope)
    if DEFAULT in names and len(names) > 1:
        raise EntraError(70011, scope=scope)
    reserved = tuple(word for word in words if word in RESERVED)
    return RequestedScopes(next(iter(resources), GRAPH), names, reserved)


def _resource_and_permission(word: str) -> tuple[str, str]:
    """Split a scope at its last slash. A scope without a slash belongs to Graph."""
    resource, slash, name = word.rpartition("/")
    return (resource, name) if slash else (GRAPH, word)
