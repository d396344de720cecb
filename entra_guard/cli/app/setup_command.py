"""`entra-guard app setup`: an API, a client with a credential, consent, and a `.env` file."""

from __future__ import annotations

import shlex
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from entra_guard._common.utc import DAY
from entra_guard._escaping import escape
from entra_guard.cli.app._options import common_options, print_json
from entra_guard.cli.app._plan_setup import PairSpec, setup
from entra_guard.cli.app._report import ids_of, new_guid
from entra_guard.cli.app._rows import roles_of, scopes_of
from entra_guard.cli.app._target import PUBLIC_AUTHORITY

if TYPE_CHECKING:
    from entra_guard.cli.app._calls import Plan
    from entra_guard.cli.app._files import NewFile
    from entra_guard.cli.app._options import Session
    from entra_guard.cli.app._plan_setup import Pair
    from entra_guard.cli.app._run import Runner
    from entra_guard.cli.app._target import Target

_SECRET_DAYS: Final = 180
_CERTIFICATE_DAYS: Final = 365


@click.command("setup")
@click.argument("name", default="Orders API")
@click.option("--role", "roles", metavar="VALUE", multiple=True, help="An app role.  [default: Orders.Read]")
@click.option("--scope", "scopes", metavar="VALUE", multiple=True, help="A scope.  [default: access_as_user]")
@click.option("--secret", is_flag=True, help="Give the client a secret instead of a certificate.")
@click.option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path(".env"),
    show_default=True,
    help="Where to write the settings (0600; never overwritten).",
)
@click.option(
    "--certificate-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("client.pem"),
    show_default=True,
    help="Where to write the client's key and certificate (0600; never overwritten).",
)
@common_options
def setup_command(
    session: Session,
    *,
    name: str,
    roles: tuple[str, ...],
    scopes: tuple[str, ...],
    secret: bool,
    env_file: Path,
    certificate_file: Path,
) -> None:
    """Register an API and a client that may call it.

    What both need is written to a .env file, which Guard.from_env() and EnvironmentCredential read. The API
    has an app role and a scope; the client has a certificate (or a secret) and admin consent for the app
    role. A second run with the same NAME completes the same pair.

    \b
        entra-guard app setup "Orders API" --role Orders.Read
        set -a; . ./.env; set +a
        entra-guard token --scope "$API_SCOPE" --raw | entra-guard explain
    """  # noqa: D301  # click wants the character, not the letters
    from entra_guard.cli.app._files import NewFile, env_value, refuse_tracked  # noqa: PLC0415  # --help stays fast

    if not secret:
        env_value(str(certificate_file.absolute()))  # before the first request: the .env file names it
    refuse_tracked(env_file, *(() if secret else (certificate_file,)))
    days = _SECRET_DAYS if secret else _CERTIFICATE_DAYS

    def plan(certificate: bytes | None) -> Plan[Pair]:
        ends = time.time() + days * DAY
        spec = PairSpec(name, roles or ("Orders.Read",), scopes or ("access_as_user",), certificate, ends)
        return setup(spec, new_guid)

    if session.dry_run:
        session.run(plan(None if secret else _new_certificate(name)[0]), lambda _runner, _pair: None)
        return
    with ExitStack() as files:
        env = files.enter_context(NewFile(env_file))
        pem = None if secret else files.enter_context(NewFile(certificate_file))
        der, key_and_certificate = (None, b"") if secret else _new_certificate(name)

        def show(runner: Runner, pair: Pair) -> None:
            if pem is not None:
                pem.write(key_and_certificate)
            _write_env(env, runner.target, pair, pem)
            _show(session, runner, pair, env_file, pem)

        session.run(plan(der), show)


def _new_certificate(name: str) -> tuple[bytes, bytes]:
    """Return a new certificate as DER, and key and certificate as PEM."""
    from entra_guard.cli.app._certificates import der_of, generate  # noqa: PLC0415

    made = generate(f"{name} client", _CERTIFICATE_DAYS * DAY)
    return der_of(made.certificate), made.pem


def variables(target: Target, pair: Pair, certificate: Path | None) -> dict[str, str]:
    """Return what `Guard.from_env()` and `EnvironmentCredential` read, and the scope to request."""
    api_id = str(pair.api["appId"])
    found = {"ENTRA_GUARD_TENANT": target.tenant_id, "ENTRA_GUARD_AUDIENCE": api_id}
    if target.authority != PUBLIC_AUTHORITY:
        found["ENTRA_GUARD_AUTHORITY"] = target.authority
    found |= {"AZURE_TENANT_ID": target.tenant_id, "AZURE_CLIENT_ID": str(pair.client["appId"])}
    if certificate is not None:
        found["AZURE_CLIENT_CERTIFICATE_PATH"] = str(certificate.absolute())
    if pair.secret is not None:
        found["AZURE_CLIENT_SECRET"] = str(pair.secret["secretText"])
    if target.authority != PUBLIC_AUTHORITY:
        found["AZURE_AUTHORITY_HOST"] = target.authority
    uris = pair.api.get("identifierUris") or [f"api://{api_id}"]
    return {**found, "API_SCOPE": f"{uris[0]}/.default"}


def _write_env(env: NewFile, target: Target, pair: Pair, pem: NewFile | None) -> None:
    from entra_guard.cli.app._files import as_env_file  # noqa: PLC0415

    comments = {
        "ENTRA_GUARD_TENANT": "The API: Guard.from_env()",
        "AZURE_TENANT_ID": "The client: EnvironmentCredential()",
        "API_SCOPE": "The scope that the client requests",
    }
    env.write(as_env_file(variables(target, pair, pem.path if pem else None), comments))


def _show(session: Session, runner: Runner, pair: Pair, env_file: Path, pem: NewFile | None) -> None:
    written: dict[str, Any] = {"envFile": str(env_file), "certificateFile": str(pem.path) if pem else None}
    target = runner.target
    if session.as_json:
        api, client = (ids_of(row, None, target.tenant_id) for row in (pair.api, pair.client))
        print_json({"api": api, "client": client, "reused": pair.reused, **written})
        return
    from entra_guard.cli._program import program_name  # noqa: PLC0415
    from entra_guard.cli._screen import Screen  # noqa: PLC0415
    from entra_guard.cli.app import _output as output  # noqa: PLC0415

    screen = Screen()
    output.done(screen, "Completed the existing pair" if pair.reused else "Registered the pair", target)
    roles = [f"role {role['value']}" for role in roles_of(pair.api)]
    scopes = [f"scope {scope['value']}" for scope in scopes_of(pair.api)]
    output.facts(
        screen,
        [
            ("API", f"{pair.api['appId']}  {pair.api['displayName']}"),
            ("  offers", [*roles, *scopes]),
            ("client", f"{pair.client['appId']}  {pair.client['displayName']}"),
            ("  credential", "a certificate" if pem else "a secret, in the .env file only"),
            ("written", f"{env_file} (only you can read it)"),
            ("", str(pem.path) if pem else ""),
        ],
    )
    screen.heading("Try it")
    source = str(env_file if env_file.is_absolute() else f"./{env_file}")
    quoted = shlex.quote(source if source.isprintable() else escape(source))
    screen.verbatim(f"set -a; . {quoted}; set +a", indent=2)
    name = program_name()
    screen.verbatim(f'{name} token --scope "$API_SCOPE" --raw | {name} explain', indent=2)
    screen.heading("Guard an application with it")
    screen.verbatim(output.guard_code(target, pair.api), indent=2)  # not wrapped, to be pasted
