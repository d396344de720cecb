"""The public base class of credentials: adds the ways to put a token on requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.credentials._azure import AsyncCredential
from entra_guard.credentials._base import BaseCredential
from entra_guard.credentials._bearer_auth import BearerAuth

if TYPE_CHECKING:
    from collections.abc import Iterable


class Credential(BaseCredential):
    """A credential: returns tokens, and puts them on requests."""

    def auth(self, *scopes: str, hosts: Iterable[str] | None = None) -> BearerAuth:
        """Return an auth for httpx and httpx2 clients, sync or async, that puts a token on each request.

        Args:
            scopes: What the tokens are for.
            hosts: The only hosts that get a token, such as 'graph.microsoft.com'; by default every https host
                that the client calls.

        Raises:
            ConfigurationError: There is no scope, or a value is not a host.

        Example:
            >>> auth = credential.auth("https://graph.microsoft.com/.default", hosts=["graph.microsoft.com"])
            >>> client = httpx.Client(auth=auth)
        """
        return BearerAuth(self, *scopes, hosts=hosts)

    def as_async(self) -> AsyncCredential:
        """Return the credential as an AsyncTokenCredential, for the async clients of the Azure SDK."""
        return AsyncCredential(self)
