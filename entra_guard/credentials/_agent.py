"""Tokens of an AI agent (Microsoft Entra Agent ID), which its blueprint requests for it.

An agent identity has no credentials. Its blueprint gets a token T1 for it (`fmi_path`), and T1 is the agent's
client assertion. For the agent's own user account the agent gets a token T2 with it, and both together are
exchanged for the user's token.

Microsoft: "Agent autonomous app OAuth flow", "Agent's user account impersonation protocol", "Agent OAuth
flows: On-behalf-of flow".
"""

from __future__ import annotations

import re
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from entra_guard._common.after_fork import reset_after_fork
from entra_guard._common.audiences import EXCHANGE_AUDIENCE, EXCHANGE_AUDIENCES
from entra_guard._common.boundary import public
from entra_guard._common.guid import is_guid
from entra_guard.credentials._application import (
    ASSERTION_TYPE,
    ApplicationCredential,
    check_client_id,
)
from entra_guard.credentials._base import CachingCredential
from entra_guard.credentials._cache.token import SKEW
from entra_guard.credentials._cache.token_cache import TokenCache
from entra_guard.credentials._on_behalf_of import application_of
from entra_guard.credentials._proofs import REFUSED_PROOF, ProofRotation
from entra_guard.credentials._settings import wrong_value
from entra_guard.errors import ConfigurationError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entra_guard.credentials._azure import AsyncCredential
    from entra_guard.credentials._cache.token import AccessToken
    from entra_guard.credentials._credential import Credential

_USER_GRANT: Final = "user_fic"


class AgentCredential(ApplicationCredential):
    """An AI agent that gets tokens in its own name, or for the user account that it has.

    For a signed-in user wrap it: `OnBehalfOfCredential(agent, token)`. The user's token must be issued for
    the blueprint.

    The agent's tokens are cached, joined and renewed as those of other credentials. The blueprint's tokens
    for the agent are kept, too.

    Args:
        blueprint_credential: The credential of the agent identity blueprint: one with a secret, a certificate
            or an assertion, an `EnvironmentCredential` that describes one, or a chain that begins with one.
        agent_id: The client id of the agent identity, which is also its object id.
        user: The agent's own user account, by object id or user principal name; None for the agent itself.

    Raises:
        ConfigurationError: The credential proves no application or is an agent's, or an id cannot be meant.

    Example:
        >>> AgentCredential(blueprint, "22223333-cccc-4444-dddd-5555eeee6666")
        <AgentCredential agent_id=22223333-cccc-4444-dddd-5555eeee6666 of <ClientSecretCredential ...>>
    """

    @public
    def __init__(
        self, blueprint_credential: Credential | AsyncCredential, agent_id: str, user: str | None = None
    ) -> None:
        blueprint = application_of(blueprint_credential, "an agent")
        if isinstance(blueprint, AgentCredential):
            raise ConfigurationError(
                "blueprint_credential is an agent's: give the credential of its blueprint. Agents cannot act "
                "for other agents"
            )
        _check_agent(agent_id, blueprint)
        _check_user(user)
        self.tenant_id: str = blueprint.tenant_id
        self.client_id: str = agent_id.lower()
        self.authority: str = blueprint.authority
        self.user: Final = user
        self._blueprint = blueprint
        self._endpoint = blueprint._endpoint  # noqa: SLF001
        self._declared = blueprint._declared  # noqa: SLF001
        self._shared = blueprint._shared  # noqa: SLF001
        self._cache_options = blueprint._cache_options  # noqa: SLF001
        self._proofs = ProofRotation("token of the blueprint")
        self._exchange_scope = f"{_exchange(blueprint.authority)}/.default"
        CachingCredential.__init__(self, TokenCache(**self._cache_options))
        self._user_tokens = TokenCache(**self._cache_options)
        self._blueprint_token = _HeldToken(self._clock)
        self._own_token = _HeldToken(self._clock)

    def __repr__(self) -> str:
        user = f" user={self.user}" if self.user else ""
        return f"<AgentCredential agent_id={self.client_id}{user} of {self._blueprint!r}>"

    def health(self) -> dict[str, Any]:
        """Return the agent, and the proofs of its blueprint."""
        return {**self._blueprint.health(), "credential": repr(self)}

    def _proof_version(self) -> object:
        return self._blueprint._proof_version()  # noqa: SLF001

    def _request(self, scopes: tuple[str, ...], claims: str | None) -> AccessToken:
        if self.user is None:
            return super()._request(scopes, claims)
        name = "user_id" if is_guid(self.user) else "username"
        grant = {"grant_type": _USER_GRANT, "requested_token_use": "on_behalf_of", name: self.user}
        return self._request_grant(grant, scopes, claims, self.user.lower().encode())

    def _send(self, grant: Mapping[str, str], claims: str | None, number: int) -> AccessToken:
        """Send a grant; if a kept token of an earlier step is refused, once more with new ones."""
        steps = [self._blueprint_token, *([self._own_token] if grant["grant_type"] == _USER_GRANT else [])]
        were_kept = any(step.is_usable for step in steps)
        try:
            return super()._send(self._with_own_token(grant), claims, number)
        except TokenAcquisitionError as error:
            for step in steps:
                step.forget()
            if not were_kept or error.error not in _REFUSED_STEP:
                raise
        return super()._send(self._with_own_token(grant), claims, number)

    def _with_own_token(self, grant: Mapping[str, str]) -> Mapping[str, str]:
        """Return a grant for the agent's user with the agent's own token T2; any other as it is."""
        if grant["grant_type"] != _USER_GRANT:
            return grant
        request = partial(
            super()._send, {"grant_type": "client_credentials", "scope": self._exchange_scope}, None, 0
        )
        return {**grant, "user_federated_identity_credential": self._own_token.get(request).token}

    def _proof_fields(self, number: int = 0) -> Mapping[str, str]:  # noqa: ARG002  # it has one proof
        # The blueprint's request is sent here, on the thread of the agent's request: one that waited for a
        # second thread could wait for ever once all threads do.
        grant = {"grant_type": "client_credentials", "fmi_path": self.client_id}
        send = self._blueprint._request_grant  # noqa: SLF001
        request = partial(send, grant, (self._exchange_scope,), None, f"fmi:{self.client_id}".encode())
        token = self._blueprint_token.get(request).token
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": token}

    def close(self) -> None:
        """Leave the connections to the blueprint's credential."""


_REFUSED_STEP: Final = frozenset({REFUSED_PROOF, "invalid_grant"})


class _HeldToken:
    """The token of one step of an exchange, requested by one thread at a time. Thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Start with a free lock and no token."""
        self._lock = threading.Lock()
        self._token: AccessToken | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _HeldToken, (self._clock,)

    @property
    def is_usable(self) -> bool:
        token = self._token
        return token is not None and self._clock() < min(token.refresh_on, token.expires_on - SKEW)

    def get(self, request: Callable[[], AccessToken]) -> AccessToken:
        """Return the token, requested if there is none that can be used."""
        with self._lock:
            if self._token is None or not self.is_usable:
                self._token = request()
            return self._token

    def forget(self) -> None:
        """Request another token the next time."""
        with self._lock:
            self._token = None


def _exchange(authority: str) -> str:
    """Return the API for token exchanges in the cloud of an authority."""
    host = urlsplit(authority).hostname or ""
    return next((api for end, api in EXCHANGE_AUDIENCES.items() if host.endswith(end)), EXCHANGE_AUDIENCE)


def _check_agent(agent_id: object, blueprint: ApplicationCredential) -> None:
    try:
        check_client_id(agent_id)
    except ConfigurationError:
        raise ConfigurationError(
            "agent_id must be the agent identity's id, a GUID such as 22223333-cccc-4444-dddd-5555eeee6666"
            f"{wrong_value(agent_id)}"
        ) from None
    if str(agent_id).lower() == blueprint.client_id.lower():
        raise ConfigurationError(
            "agent_id is the client id of the blueprint: give the id of one of its agent identities"
        )


def _check_user(user: object) -> None:
    if user is not None and not (isinstance(user, str) and (is_guid(user) or _UPN.fullmatch(user))):
        raise ConfigurationError(
            "user must be the agent's own user account, by object id (a GUID) or principal name (such as "
            "assistant@contoso.com), and not a signed-in user (for that: "
            f"OnBehalfOfCredential(AgentCredential(...), token)){wrong_value(user)}"
        )


_UPN: Final = re.compile(r"[^\s@\x00-\x1f\x7f-\x9f]+@[^\s@\x00-\x1f\x7f-\x9f]+")
