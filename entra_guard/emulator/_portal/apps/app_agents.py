"""The agent identities of a blueprint: listed on its overview, with their accounts and permissions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._portal.apps.app_frame import LIST, address_of, find_app
from entra_guard.emulator._portal.visit import PortalPage, post

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.entries import AppRegistration, User


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent: its name and id, its own account, and the roles that it holds by API."""

    name: str
    id: str
    account: User | None
    roles: Mapping[str, Sequence[str]]


def agents_of(visit: Visit, app: AppRegistration) -> Iterator[AgentRow]:
    """Yield the agents of a blueprint."""
    directory = visit.directory
    accounts = {user.agent_id: user for user in directory.users.values() if user.agent_id}
    for agent in directory.agents.values():
        if agent.blueprint_id == app.client_id:
            yield AgentRow(agent.name, agent.id, accounts.get(agent.id), directory.held_by(agent.id))


def add_agent(visit: Visit) -> Response:
    """Add an agent identity, with its own account if the form names one."""
    app, name, account = find_app(visit), visit.text("agent"), visit.text("account")
    if not name:
        return visit.redirect(address_of(app), notice="Enter the agent's name. No agent was added.")
    registrations, before = visit.service.registrations, visit.directory
    try:
        agent = visit.service.agents.add_agent(name, app)
        if account:
            registrations.add_user(account, display_name=name, agent=agent)
    except RegistrationError as error:
        visit.service.store.change(directory=before)
        return visit.redirect(address_of(app), notice=str(error))
    return visit.redirect(
        address_of(app), notice=f"{name} is added. Give it roles on an API's page, under Assignments."
    )


def remove_agent(visit: Visit) -> Response:
    """Delete an agent with its permissions, and its account."""
    app, wanted = find_app(visit), visit.text("id")
    found = next((agent for agent in agents_of(visit, app) if agent.id == wanted), None)
    if found is not None:
        visit.service.registrations.remove_principal(found.id)
        if found.account is not None:
            visit.service.people.remove_user(found.account)
    return visit.redirect(address_of(app), notice="The agent is deleted.")


PAGES: Final[tuple[PortalPage, ...]] = (
    post(f"{LIST}/{{app}}/agents/add", add_agent),
    post(f"{LIST}/{{app}}/agents/remove", remove_agent),
)
