"""`entra-guard explain`: check a token step by step."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from entra_guard.cli._guard_options import guard_options
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from entra_guard._guard.combined_guard import CombinedGuard
    from entra_guard._guard.verifier import IssuerVerifier
    from entra_guard.guard import Guard
    from entra_guard.requirement import Requirement

_REFUSED: Final = 1
_NO_KEYS: Final = 3
_FILE: Final = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@guard_options
@click.option("--guard", "guard_name", metavar="MODULE:GUARD", help="The guard of your application.")
@click.option("--role", "roles", metavar="VALUE", multiple=True, help="A role that the route requires.")
@click.option("--scope", "scopes", metavar="VALUE", multiple=True, help="A scope that the route requires.")
@click.option("--app-only", is_flag=True, help="The route accepts applications only.")
@click.option("--users-only", is_flag=True, help="The route accepts users only.")
@click.option("--auth-context", metavar="ID", default="", help="An authentication context, such as c1.")
@click.option("--max-age", type=float, metavar="SECONDS", help="How old the sign-in may be; not with Entra.")
@click.option("--offline", is_flag=True, help="Send no request: use the keys of --keys-file.")
@click.option("--keys-file", type=_FILE, help="Keys that 'keys pull' saved.  [env: ENTRA_GUARD_KEYS_FILE]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
@click.option("--share", is_flag=True, help="Replace ids, hosts and names, to paste the report in public.")
@click.pass_obj
def explain(settings: dict[str, Any] | None, /, *, as_json: bool, share: bool, **given: Any) -> None:
    """Show why an API accepts or refuses a token, and what to do.

    The token is read from standard input or from a hidden prompt. The command line is not an option,
    because other users of the machine could read it there. The token is never printed, nor the values of
    personal claims. A whole header line works too, and so does the whole response of a token endpoint.

    \b
        entra-guard explain --tenant <id> --audience <id> < token.txt
        entra-guard explain --guard main:guard --share < token.txt

    Exits with 1 if the token is refused, and with 3 if the keys were not available.
    """  # noqa: D301  # click wants the character, not the letters
    from entra_guard.cli import _explain_report as reports  # noqa: PLC0415  # --help stays fast
    from entra_guard.cli._token_input import read_token  # noqa: PLC0415

    if share:
        from entra_guard.cli.demo._log import operator_log  # noqa: PLC0415

        # Log lines name tenants and hosts; the report has the last error.
        click.get_current_context().with_resource(operator_log())
    requirement = _requirement(given)
    verifier = _verifier(given, settings or {})
    guards = _single_guards(verifier)
    token = read_token()
    report = reports.report_on(token, verifier, guards[0], requirement, time.time())
    if share:
        from entra_guard.cli._share import Redactor  # noqa: PLC0415

        values = {value for guard in guards for value in reports.sensitive_values(token, guard, requirement)}
        report = reports.redacted(report, Redactor(values), token)
    if as_json:
        click.echo(reports.as_json(report))
    else:
        from entra_guard.cli._report_output import show_report  # noqa: PLC0415
        from entra_guard.cli._screen import Screen  # noqa: PLC0415

        show_report(Screen(), report)
    if not report.accepted:
        raise SystemExit(_NO_KEYS if report.reason == "keys_unavailable" else _REFUSED)


def _single_guards(verifier: Guard | CombinedGuard) -> tuple[IssuerVerifier, ...]:
    single: tuple[Any, ...] = (verifier,)
    guards: tuple[IssuerVerifier, ...] = getattr(verifier, "guards", single)
    return guards


def _requirement(given: dict[str, Any]) -> Requirement | None:
    from entra_guard.requirement import requirement_or_none  # noqa: PLC0415

    names = ("roles", "scopes", "app_only", "users_only", "auth_context", "max_age")
    return requirement_or_none(**{name: given[name] for name in names})


def _verifier(given: dict[str, Any], settings: dict[str, Any]) -> Guard | CombinedGuard:
    """Return the guard of the options, of the environment, or of an application.

    Raises:
        click.UsageError: The options cannot work together, or a setting is missing.
    """
    keys_file = given["keys_file"] or os.environ.get("ENTRA_GUARD_KEYS_FILE")
    if given["offline"] and not keys_file:
        raise click.UsageError("--offline needs --keys-file: 'entra-guard keys pull' saves one.")
    more: dict[str, Any] = {"keys_file": keys_file} if keys_file else {}
    if given["offline"]:
        more["http_client"] = _offline_client()
    if given["guard_name"]:
        return _from_application(given, more)
    return _from_environment(given, settings | more)


def _from_environment(given: dict[str, Any], settings: dict[str, Any]) -> Guard:
    from entra_guard.guard import Guard  # noqa: PLC0415

    named = {
        "TENANT": given["tenant"],
        "AUDIENCE": " ".join(given["audience"]),
        "AUTHORITY": given["authority"],
    }
    environ = os.environ | {f"ENTRA_GUARD_{name}": value for name, value in named.items() if value}
    try:
        return Guard.from_env(environ, **settings)
    except ConfigurationError as error:
        raise click.UsageError(f"{error}. Or use --tenant, --audience and --authority.") from None


def _from_application(given: dict[str, Any], more: dict[str, Any]) -> Guard | CombinedGuard:
    """Return an application's guard; offline, one with the same settings and the keys file."""
    from entra_guard._guard.combined_guard import CombinedGuard  # noqa: PLC0415
    from entra_guard._web.adapter_arguments import check_guard  # noqa: PLC0415
    from entra_guard.cli._import_object import import_object  # noqa: PLC0415
    from entra_guard.cli.doctor._guard_parts import parts_of  # noqa: PLC0415
    from entra_guard.guard import Guard  # noqa: PLC0415

    if given["tenant"] or given["audience"] or given["authority"]:
        raise click.UsageError("--guard has its own tenant, audience and authority: omit these options.")
    found: Guard | CombinedGuard = import_object(given["guard_name"], "--guard")
    check_guard(found)
    if not given["offline"]:
        if given["keys_file"]:
            raise click.UsageError("--guard has its own keys file: use --keys-file with --offline only.")
        return found
    guards = [
        Guard.from_policy(
            guard.policy,
            authority=guard.authority,
            app_specific_keys=parts_of(cast("Guard", guard)).source.app_id or False,
            **more,
        )
        for guard in _single_guards(found)
    ]
    return guards[0] if len(guards) == 1 else CombinedGuard(*guards)


def _offline_client() -> Any:
    import httpx  # noqa: PLC0415

    class Offline(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("--offline sends no request", request=request)

    return httpx.Client(transport=Offline())
