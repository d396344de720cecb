"""`entra-guard app`, `user` and `identity`: the groups, assembled."""

from __future__ import annotations

import click

from entra_guard.cli.app import credential_commands as credentials
from entra_guard.cli.app import people_commands as people
from entra_guard.cli.app import permission_commands as permissions
from entra_guard.cli.app import registration_commands as registrations
from entra_guard.cli.app.setup_command import setup_command


@click.group()
def app() -> None:
    """Register applications: on the running emulator, or in a tenant.

    The commands send plain Microsoft Graph requests. Without --tenant they work on the emulator that runs
    on this machine, and never on anything else. With --tenant they use the AZURE_ variables of an
    application, or the login of the Azure CLI.

    An application is named by its client id, App ID URI or unique name; on the emulator also by its
    display name.

    \b
        entra-guard app register "Orders API" --api --role Orders.Read
        entra-guard app register "Nightly report"
        entra-guard app permission add <client id> <API> Orders.Read
        entra-guard app grant <client id>
        entra-guard app certificate add <client id> --new nightly.pem
    """  # noqa: D301  # click wants the character, not the letters


@click.group()
def user() -> None:
    """Add users, on the running emulator or in a tenant."""


@click.group()
def identity() -> None:
    """Add managed identities, on the running emulator."""


_COMMANDS: tuple[click.Command, ...] = (
    registrations.register_command,
    registrations.list_command,
    registrations.show_command,
    registrations.update_command,
    registrations.delete_command,
    credentials.secret,
    credentials.certificate,
    credentials.federated,
    permissions.role,
    permissions.scope,
    permissions.permission,
    permissions.grant_command,
    setup_command,
)
for _command in _COMMANDS:
    app.add_command(_command)
user.add_command(people.add_user_command)
identity.add_command(people.add_identity_command)
