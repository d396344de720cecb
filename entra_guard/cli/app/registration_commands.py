"""`entra-guard app register|list|show|update|delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from entra_guard._escaping import escape
from entra_guard.cli._program import NAME
from entra_guard.cli.app._calls import UNIQUE_NAME
from entra_guard.cli.app._options import common_options, print_json
from entra_guard.cli.app._plan_apps import AppChange, AppSpec, delete, describe, list_apps, register, update
from entra_guard.cli.app._report import ids_of, new_guid, report
from entra_guard.cli.app._rows import part

if TYPE_CHECKING:
    from entra_guard.cli.app._calls import Row
    from entra_guard.cli.app._options import Session
    from entra_guard.cli.app._plan_apps import Registered
    from entra_guard.cli.app._run import Runner

ACCOUNTS: Final = {
    "single": "AzureADMyOrg",
    "multiple": "AzureADMultipleOrgs",
    "any": "AzureADandPersonalMicrosoftAccount",
    "personal": "PersonalMicrosoftAccount",
}


class _Accounts(click.Choice[str]):
    """The short names, and those of the manifest."""

    def __init__(self) -> None:
        super().__init__([*ACCOUNTS, *ACCOUNTS.values()], case_sensitive=False)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        del param, ctx
        return f"[{'|'.join(ACCOUNTS)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        found = super().convert(value, param, ctx)
        return ACCOUNTS.get(found, found)


@click.command("register")
@click.argument("name")
@click.option("--api", is_flag=True, help="It accepts tokens: give it an App ID URI and v2.0 tokens.")
@click.option(
    "--role", "roles", metavar="VALUE", multiple=True, help="An app role; repeatable. Implies --api."
)
@click.option("--scope", "scopes", metavar="VALUE", multiple=True, help="A scope; repeatable. Implies --api.")
@click.option("--accounts", type=_Accounts(), default="single", help="Who may use it: see above.")
@click.option("--app-id-uri", metavar="URI", default="", help="[default: api://<client id>]")
@click.option("--unique-name", metavar="NAME", default="", help="A later run with this name reuses it.")
@click.option(
    "--token-version",
    type=click.IntRange(1, 2),
    default=2,
    help="Of the tokens that the API receives.  [default: 2]",
)
@click.option("--redirect-uri", "web", metavar="URI", multiple=True, help="Of a web application; repeatable.")
@click.option("--spa-redirect-uri", "spa", metavar="URI", multiple=True, help="Of a single-page application.")
@click.option(
    "--public-redirect-uri", "public", metavar="URI", multiple=True, help="Of a desktop or mobile app."
)
@click.option("--public-client", is_flag=True, help="Allow flows without a credential, such as device code.")
@common_options
def register_command(
    session: Session,
    *,
    name: str,
    unique_name: str,
    roles: tuple[str, ...],
    scopes: tuple[str, ...],
    **given: Any,
) -> None:
    """Register an application and its service principal.

    Prints the ids, the endpoints and, for an API, the six lines that guard an application with it.
    A second run registers a second application, unless --unique-name or --app-id-uri finds the first.

    \b
    Account types (--accounts):
      single    This organization only. The usual choice.
      multiple  Any organization: you sell the API to other organizations.
      any       Any organization, and personal accounts (Outlook, Xbox).
      personal  Personal accounts only. No app roles.

    \b
        entra-guard app register "Orders API" --api --role Orders.Read
        entra-guard app register Page --spa-redirect-uri http://localhost:3000
    """  # noqa: D301  # click wants the character, not the letters
    if unique_name and not UNIQUE_NAME.fullmatch(unique_name):
        raise click.UsageError(
            "--unique-name has up to 120 letters, digits, '.', '_' and '-', such as 'orders-api'."
        )
    spec = AppSpec(
        name,
        accounts=given["accounts"],
        api=bool(given["api"] or roles or scopes or given["app_id_uri"]),
        roles=roles,
        scopes=scopes,
        app_id_uri=given["app_id_uri"],
        unique_name=unique_name,
        token_version=given["token_version"],
        uris={platform: given[platform] for platform in ("web", "spa", "public")},
        public_client=given["public_client"],
    )
    session.run(
        register(spec, new_guid), lambda runner, found: _show_registered(session, runner, found, spec)
    )


def _show_registered(session: Session, runner: Runner, found: Registered, spec: AppSpec) -> None:
    from entra_guard.cli._screen import Screen  # noqa: PLC0415  # --help stays fast
    from entra_guard.cli.app import _output as output  # noqa: PLC0415

    target, row = runner.target, found.app
    code = output.guard_code(target, row)
    if session.as_json:
        content = {**ids_of(row, found.principal, target.tenant_id), "reused": found.reused}
        print_json(
            {**content, "endpoints": output.endpoints(target, row), "code": code if spec.api else None}
        )
        return
    screen = Screen()
    output.done(screen, "Completed the existing registration" if found.reused else "Registered", target)
    output.show_ids(screen, target, row, found.principal)
    output.show_permissions(screen, row)
    output.show_endpoints(screen, target, row)
    if spec.api:
        screen.heading("Guard an application with it")
        screen.verbatim(code, indent=2)  # not wrapped, so that it can be pasted
    else:
        screen.heading("Next")
        _show_next(screen, str(row["appId"]))


def _show_next(screen: Any, client_id: str) -> None:
    from entra_guard.cli._program import program_name  # noqa: PLC0415

    screen.text("Give it a credential. A certificate is better than a secret, which can be copied:", indent=2)
    screen.verbatim(f"{program_name()} app certificate add {client_id} --new client.pem", indent=4)
    screen.text("Add the permissions that it needs, and grant them:", indent=2)
    screen.verbatim(f"{program_name()} app permission add {client_id} <API> --role <app role>", indent=4)
    screen.verbatim(f"{program_name()} app grant {client_id}", indent=4)


@click.command("list")
@click.option("--name", metavar="TEXT", default="", help="Only names that contain this text.")
@common_options
def list_command(session: Session, *, name: str) -> None:
    """List the tenant's applications and their credentials."""

    def show(runner: Runner, rows: list[Row]) -> None:
        found = [row for row in rows if name.lower() in str(row["displayName"]).lower()]
        if session.as_json:
            return print_json(found)
        return _show_list(runner, found)

    session.run(list_apps(), show)


def _show_list(runner: Runner, rows: list[Row]) -> None:
    from entra_guard.cli._screen import Screen  # noqa: PLC0415
    from entra_guard.cli.app._output import credential_summary  # noqa: PLC0415

    screen = Screen()
    if not rows:
        screen.text(
            f"No applications in {escape(runner.target.name)}. Register one: {NAME} app register NAME"
        )
        return
    cells = [(str(r["appId"]), credential_summary(r), escape(str(r["displayName"]))) for r in rows]
    if screen.is_narrow:
        for client_id, credentials, shown in cells:
            screen.text(shown, "bold")
            screen.name_values([("client ID", client_id), ("credentials", credentials)])
        return
    screen.table(["client ID", "credentials", "name"], cells)


@click.command("show")
@click.argument("ref", metavar="APP")
@common_options
def show_command(session: Session, *, ref: str) -> None:
    """Show an application: ids, offers, needs, credentials."""

    def show(runner: Runner, row: Row) -> None:
        if session.as_json:
            return print_json(row)
        return _show_app(runner, row)

    session.run(describe(ref, by_name=session.by_name), show)


def _show_app(runner: Runner, row: Row) -> None:
    from entra_guard.cli._screen import Screen  # noqa: PLC0415
    from entra_guard.cli.app import _output as output  # noqa: PLC0415

    screen, target = Screen(), runner.target
    output.show_ids(screen, target, row, row["servicePrincipal"])
    version = part(row, "api").get("requestedAccessTokenVersion") or 1
    is_api = bool(row.get("identifierUris") or row.get("appRoles"))
    uris = {name: part(row, name).get("redirectUris") for name in ("web", "spa", "publicClient")}
    state = "" if part(row, "servicePrincipal").get("accountEnabled", True) else "disabled: it gets no tokens"
    output.facts(
        screen,
        [
            ("token version", f"{version}.0" if is_api else ""),
            *((f"{n} redirects", u) for n, u in uris.items()),
            ("state", state),
        ],
    )
    output.show_permissions(screen, row)
    output.show_needs(screen, row)
    output.show_credentials(screen, row)
    output.show_endpoints(screen, target, row)


@click.command("update")
@click.argument("ref", metavar="APP")
@click.option("--name", metavar="TEXT", help="The display name.")
@click.option("--accounts", type=_Accounts(), help="Who may use it: see 'app register --help'.")
@click.option("--token-version", type=click.IntRange(1, 2), help="Of the tokens that the API receives.")
@click.option("--app-id-uri", metavar="URI", help="The first App ID URI; the others stay.")
@click.option("--redirect-uri", "web", metavar="URI", multiple=True, help="Add one of a web application.")
@click.option("--spa-redirect-uri", "spa", metavar="URI", multiple=True, help="Add one of a single-page app.")
@click.option(
    "--public-redirect-uri", "public", metavar="URI", multiple=True, help="Add one of a desktop app."
)
@click.option("--remove-redirect-uri", "removed_uris", metavar="URI", multiple=True, help="Remove one.")
@click.option(
    "--optional-claim",
    "optional_claims",
    metavar="NAME",
    multiple=True,
    help="Add an optional claim to the API's tokens: idtyp, xms_cc, email, ...",
)
@click.option("--public-client/--no-public-client", default=None, help="Allow flows without a credential.")
@click.option("--enable/--disable", "enabled", default=None, help="A disabled application gets no tokens.")
@click.option(
    "--assignment-required/--no-assignment-required", default=None, help="Only assigned callers get tokens."
)
@common_options
def update_command(session: Session, *, ref: str, **given: Any) -> None:
    """Change an application.

    \b
        entra-guard app update api://orders --token-version 2
        entra-guard app update <id> --spa-redirect-uri http://localhost:3000
    """  # noqa: D301  # click wants the character, not the letters
    uris = {platform: given.pop(platform) for platform in ("web", "spa", "public")}
    change = AppChange(uris=uris, **given)
    session.run(
        update(ref, change, by_name=session.by_name), lambda r, row: report(session, r, "Changed", row)
    )


@click.command("delete")
@click.argument("ref", metavar="APP")
@common_options
def delete_command(session: Session, *, ref: str) -> None:
    """Delete an application. A real tenant can restore it for 30 days."""
    session.run(delete(ref, by_name=session.by_name), lambda r, row: report(session, r, "Deleted", row))
