"""AI agents (Entra Agent ID): the agent identities of a blueprint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._directory.rules import RegistrationError, check_name
from entra_guard.emulator._store.entries import AgentIdentity, ServicePrincipal

if TYPE_CHECKING:
    from entra_guard.emulator._directory.lookup import App
    from entra_guard.emulator._store.store import Store


class Agents:
    """Add agents. A blueprint has the credentials and acts for the agents that were made from it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add_agent(self, name: str, blueprint: App) -> AgentIdentity:
        """Add an agent identity of a blueprint. It has no credentials; `grant` gives it permissions.

        Args:
            name: Display name.
            blueprint: Its blueprint, which acts for it.

        Raises:
            RegistrationError: The app is not a blueprint, or the name is empty or too long.

        Example:
            >>> entra = Emulator()
            >>> blueprint = entra.register_app("Sales assistants", is_blueprint=True)
            >>> entra.add_agent("Sales assistant, north", blueprint).blueprint_id == blueprint.client_id
            True
        """
        store = self._store
        client_id = blueprint if isinstance(blueprint, str) else blueprint.client_id
        check_name(name)
        parent = store.directory.apps.get(client_id)
        if parent is None or not parent.is_blueprint:
            raise RegistrationError(
                f"AgentIdentity_IncompatibleParentType: {client_id} is not an agent identity blueprint: call "
                "register_app(..., is_blueprint=True) first."
            )
        return self.add(
            AgentIdentity(store.ids.guid(), parent.client_id, parent.tenant_id, name, store.now())
        )

    def add(self, agent: AgentIdentity) -> AgentIdentity:
        """Add an agent identity with its service principal."""
        principal = ServicePrincipal(
            agent.id, agent.id, agent.tenant_id, agent.name, kind="ServiceIdentity", created=agent.created
        )
        self._store.upsert(agents=agent, principals=principal)
        return agent
