"""`entra-guard app role`, `app scope`, `app permission` and `app grant`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from entra_guard.cli.app._options import common_options, print_json
from entra_guard.cli.app._plan_people import assign
from entra_guard.cli.app._plan_permissions import add_role, add_scope, grant_of, need_permissions
from entra_guard.cli.app._report import new_guid, report
from entra_guard.cli.app._rows import new_role, new_scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entra_guard.cli.app._calls import Row
    from entra_guard.cli.app._options import Session
    from entra_guard.cli.app._plan_permissions import Needs
    from entra_guard.cli.app._run import Runner

_MEMBERS: Final = {"apps": ("Application",), "users": ("User",), "both": ("Application", "User")}


@click.group()
def role() -> None:
    """App roles of an API: what applications and users may do."""


@role.command("add")
@click.argument("ref", metavar="API")
@click.argument("value")
@click.option(
    "--for",
    "members",
    type=click.Choice([*_MEMBERS]),
    default=None,
    help="Who may hold it; also adds them to a role that API has.  [default: both]",
)
@click.option("--name", metavar="TEXT", default="", help="The display name.  [default: the value]")
@click.option("--description", metavar="TEXT", default="", help="What it allows.")
@common_options
def add_role_command(
    session: Session, *, ref: str, value: str, members: str | None, name: str, description: str
) -> None:
    """Add the app role VALUE, such as Orders.Read, to API.

    If API has the role for fewer kinds of callers, name the others with --for.
    """
    made = new_role(value, new_guid(), _MEMBERS[members or "both"], name=name, description=description)
    plan = add_role(ref, made, by_name=session.by_name, widen=members is not None)
    session.run(
        plan, lambda r, row: report(session, r, f"Added the app role {value}", row, role_id=made["id"])
    )


@role.command("assign")
@click.argument("ref", metavar="API")
@click.argument("values", metavar="VALUE...", nargs=-1, required=True)
@click.option(
    "--user", metavar="NAME", default="", help="A user: the principal name, its part before @, or id."
)
@click.option("--group", metavar="NAME", default="", help="A group: its name or id.")
@click.option("--app", "app_ref", metavar="NAME", default="", help="An application or managed identity.")
@common_options
def assign_role_command(
    session: Session, *, ref: str, values: tuple[str, ...], user: str, group: str, app_ref: str
) -> None:
    """Assign app roles of API.

    The holder is a user, a group, an application or a managed identity.

    \b
        entra-guard app role assign "Orders API" Orders.Read --user alice
    """  # noqa: D301  # click wants the character, not the letters
    named = {"users": user, "groups": group, "servicePrincipals": app_ref}
    chosen = [(kind, name) for kind, name in named.items() if name]
    if len(chosen) != 1:
        raise click.UsageError("name one of --user, --group and --app.")
    kind, name = chosen[0]

    def show(runner: Runner, found: tuple[Row, Row]) -> None:
        api, holder = found
        done = {"assigned": ", ".join(values), "to": holder.get("displayName"), "holder_id": holder["id"]}
        report(session, runner, "Assigned roles of", api, **done)

    session.run(assign(ref, values, kind, name, by_name=session.by_name), show)


@click.group()
def scope() -> None:
    """Scopes of an API: what a client may do for a signed-in user."""


@scope.command("add")
@click.argument("ref", metavar="API")
@click.argument("value")
@click.option("--admin", is_flag=True, help="Only administrators may consent.")
@click.option(
    "--name", metavar="TEXT", default="", help="The name on the consent page.  [default: the value]"
)
@common_options
def add_scope_command(session: Session, *, ref: str, value: str, admin: bool, name: str) -> None:
    """Add the scope VALUE, such as access_as_user, to API."""
    made = new_scope(value, new_guid(), admin=admin, name=name)
    plan = add_scope(ref, made, by_name=session.by_name)
    session.run(plan, lambda r, row: report(session, r, f"Added the scope {value}", row, scope_id=made["id"]))


@click.group()
def permission() -> None:
    """The permissions that a client needs of an API."""


@permission.command("add")
@click.argument("client", metavar="CLIENT")
@click.argument("api", metavar="API")
@click.argument("values", metavar="[PERMISSION]...", nargs=-1)
@click.option(
    "--role", "roles", metavar="VALUE", multiple=True, help="An app role: without a user. Repeatable."
)
@click.option(
    "--scope", "scopes", metavar="VALUE", multiple=True, help="A scope: for signed-in users. Repeatable."
)
@common_options
def add_permission_command(
    session: Session,
    *,
    client: str,
    api: str,
    values: tuple[str, ...],
    roles: tuple[str, ...],
    scopes: tuple[str, ...],
) -> None:
    """Add permissions of API to what CLIENT needs. 'app grant' then consents to them.

    API may be 'graph'. A value that is both an app role and a scope, such as User.Read.All of Graph,
    needs --role or --scope.

    \b
        entra-guard app permission add "Nightly report" "Orders API" Orders.Read
        entra-guard app permission add <client id> graph --role User.Read.All
    """  # noqa: D301  # click wants the character, not the letters
    if not (values or roles or scopes):
        raise click.UsageError("name at least one permission, or --role or --scope.")
    plan = need_permissions(client, api, values, roles, scopes, by_name=session.by_name)

    def show(runner: Runner, found: Needs) -> None:
        _report_needs(session, runner, "Added permissions to", found.client, [found])
        if not session.as_json:
            click.echo(f"Not granted yet: entra-guard app grant {found.client['appId']}", err=True)

    session.run(plan, show)


@click.command("grant")
@click.argument("client", metavar="CLIENT")
@click.argument("api", metavar="[API]", required=False)
@common_options
def grant_command(session: Session, *, client: str, api: str | None) -> None:
    """Grant admin consent to what CLIENT needs.

    With API, only its permissions are granted; otherwise those of all APIs. In a real tenant the command
    lists the permissions and requires confirmation, or --yes.
    """

    def show(runner: Runner, found: tuple[Row, list[Needs]]) -> None:
        row, needs = found
        _report_needs(session, runner, "Granted admin consent to", row, needs)

    session.run(grant_of(client, api, by_name=session.by_name), show)


def _report_needs(session: Session, runner: Runner, what: str, row: Row, needs: Sequence[Needs]) -> None:
    from entra_guard.cli.app._output import needs_json  # noqa: PLC0415  # --help stays fast

    if session.as_json:
        ids = {"displayName": row["displayName"], "clientId": row["appId"], "objectId": row["id"]}
        print_json({**ids, "permissions": needs_json(needs)})
        return
    by_api = {
        str(need.api["displayName"]): ", ".join(f"{p.value} ({p.type.lower()})" for p in need.permissions)
        for need in needs
    }
    report(session, runner, what, row, **by_api)
