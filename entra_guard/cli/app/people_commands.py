"""`entra-guard user add` and `entra-guard identity add`."""

from __future__ import annotations

import secrets
import shlex
from typing import TYPE_CHECKING, Final

import click

from entra_guard.cli.app._calls import CommandError
from entra_guard.cli.app._options import common_options, print_json
from entra_guard.cli.app._plan_people import UserSpec, add_user, assign_all, roles_for_identity

if TYPE_CHECKING:
    from entra_guard.cli.app._calls import Row
    from entra_guard.cli.app._options import Session
    from entra_guard.cli.app._run import Runner

_PASSWORD_BYTES: Final = 24
_PURPOSE: Final = "Add the managed identity, by the emulator's control API"


@click.command("add")
@click.argument("name")
@click.option("--display-name", metavar="TEXT", default="", help="[default: from the name]")
@common_options
def add_user_command(session: Session, *, name: str, display_name: str) -> None:
    """Add a user.

    NAME is the part before the @, or the whole user principal name. The emulator's sign-in page needs no
    password. In a real tenant a password is made, printed once, and must be changed at the first sign-in;
    the command requires confirmation, or --yes.
    """
    # A prefix of each class of characters satisfies every password policy.
    password = f"Aa1-{secrets.token_urlsafe(_PASSWORD_BYTES)}"
    shown = display_name or name.partition("@")[0].replace(".", " ").title()

    def show(runner: Runner, row: Row) -> None:
        first = {"password": password} if runner.target.real else {}
        if session.as_json:
            return print_json({**row, **first})
        return _show_user(runner, row, first)

    session.run(add_user(UserSpec(name, shown, password)), show)


def _show_user(runner: Runner, row: Row, first: dict[str, str]) -> None:
    from entra_guard.cli._screen import Screen  # noqa: PLC0415  # --help stays fast
    from entra_guard.cli.app import _output as output  # noqa: PLC0415

    screen = Screen()
    output.done(screen, f"Added the user {row['displayName']}", runner.target)
    names = (("user name", row["userPrincipalName"]), ("object ID", row["id"]))
    output.facts(screen, [*names, *(("first password", value) for value in first.values())])


@click.command("add")
@click.argument("name")
@click.option("--system-assigned", is_flag=True, help="Requests that name no identity get this one.")
@click.option(
    "--role",
    "roles",
    metavar="API=VALUE",
    multiple=True,
    help="Assign an app role of an API to it; repeatable.",
)
@common_options
def add_identity_command(
    session: Session, *, name: str, system_assigned: bool, roles: tuple[str, ...]
) -> None:
    """Add a managed identity to the emulator.

    Code finds it by AZURE_POD_IDENTITY_AUTHORITY_HOST, as on a virtual machine in Azure.

    \b
        entra-guard identity add nightly --role "Orders API=Orders.Read"
    """  # noqa: D301  # click wants the character, not the letters
    if session.where.is_tenant:
        raise CommandError(
            "Microsoft Graph cannot create managed identities.",
            "not_supported",
            f"Run: az identity create --resource-group <group> --name {shlex.quote(name)}, "
            "then 'app role assign --app'.",
        )
    wanted = [_api_and_role(text) for text in roles]
    from entra_guard.cli.app._run import Runner, print_requests  # noqa: PLC0415
    from entra_guard.cli.app._target import control  # noqa: PLC0415

    target = session.target()
    runner = Runner(target, dry_run=session.dry_run)
    body = {"name": name, "system_assigned": system_assigned, "tenant": target.tenant_id}
    found_roles = runner.run(roles_for_identity(wanted, by_name=True))
    if session.dry_run:
        url = f"{target.control_url}/_emu/identities"
        runner.printed.append({"purpose": _PURPOSE, "method": "POST", "url": url, "body": body})
        runner.run(assign_all("<principal id>", found_roles))
        (print_json if session.as_json else print_requests)(runner.printed)
        return
    found = control(target.control_url, "POST", "identities", body)
    runner.run(assign_all(found["principal_id"], found_roles))
    if session.as_json:
        print_json(found)
    else:
        _show_identity(runner, found, roles)


def _api_and_role(text: str) -> tuple[str, str]:
    api, equals, value = text.rpartition("=")
    if not (api and equals and value):
        raise click.UsageError(f"--role {text!r}: write API=VALUE, such as 'Orders API=Orders.Read'.")
    return api, value


def _show_identity(runner: Runner, found: Row, roles: tuple[str, ...]) -> None:
    from entra_guard.cli._screen import Screen  # noqa: PLC0415
    from entra_guard.cli.app import _output as output  # noqa: PLC0415

    screen = Screen()
    output.done(screen, f"Added the managed identity {found['name']}", runner.target)
    rows = [(name.replace("_", " "), found[name]) for name in ("client_id", "principal_id", "resource_path")]
    output.facts(screen, [*rows, ("roles", roles)])
    screen.heading("Let code find it")
    for variable, value in found["environment"].items():
        screen.verbatim(f"export {variable}={value}", indent=2)
