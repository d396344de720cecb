"""`entra-guard token`: get a token for another API and show it shortened, or write it to a pipe."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from entra_guard._escaping import escape
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.credentials import AccessToken, Credential

_FILE: Final = click.Path(path_type=Path, dir_okay=False, exists=True)
_LONGEST: Final = 100
_KEPT: Final = 60
_PASSWORD: Final = "AZURE_CLIENT_CERTIFICATE_PASSWORD"  # noqa: S105  (the name of a variable)
_OPTIONS: Final = {
    "AZURE_TENANT_ID": "tenant",
    "AZURE_CLIENT_ID": "client_id",
    "AZURE_AUTHORITY_HOST": "authority",
}


@click.command()
@click.option(
    "--scope",
    metavar="SCOPE",
    required=True,
    multiple=True,
    help="The scope, such as '<App ID URI>/.default'; repeatable.",
)
@click.option("--tenant", metavar="ID", help="Tenant id, or a domain.  [env: AZURE_TENANT_ID]")
@click.option("--client-id", metavar="ID", help="The app's client id.  [env: AZURE_CLIENT_ID]")
@click.option(
    "--authority",
    metavar="URL",
    help="A cloud's name or an authority's URL.  [env: AZURE_AUTHORITY_HOST; default: public]",
)
@click.option(
    "--secret-file", type=_FILE, help="A file with the client secret.  [else env: AZURE_CLIENT_SECRET]"
)
@click.option(
    "--certificate",
    type=_FILE,
    help=f"A PEM or PFX file with certificate and key.  [password in env: {_PASSWORD}]",
)
@click.option("--managed-identity", is_flag=True, help="Use this host's identity, or the one of --client-id.")
@click.option("--claims", metavar="JSON", help="The claims of a claims challenge.")
@click.option("--raw", is_flag=True, help="Write only the token, to a pipe or a file.")
@click.pass_obj
def token(
    settings: dict[str, Any] | None, /, *, scope: tuple[str, ...], claims: str | None, raw: bool, **who: Any
) -> None:
    """Get a token for another API, as an app or as this host, and show its claims.

    Secrets are read from the environment, a file or a prompt. The command line is not an option, because
    other users of the machine could read them there.

    \b
        entra-guard token --scope https://graph.microsoft.com/.default
        entra-guard token --scope api://<id>/.default --raw | entra-guard explain
    """  # noqa: D301  # click wants the character, not the letters
    if raw and sys.stdout.isatty():
        raise click.UsageError("--raw writes the token to a pipe or a file, but this is a terminal.")
    with _credential(who, settings or {}) as credential:
        found = credential.get_token(*scope, claims=claims)
    if raw:
        click.echo(found.token)
    else:
        _show(found, repr(credential))


def _credential(who: Mapping[str, Any], settings: dict[str, Any]) -> Credential:
    """Return the credential for the options and the environment; prompt for a missing secret."""
    from entra_guard.credentials import ManagedIdentityCredential  # noqa: PLC0415  # --help stays fast

    if sum(map(bool, (who["secret_file"], who["certificate"], who["managed_identity"]))) > 1:
        raise click.UsageError("use only one of --secret-file, --certificate and --managed-identity.")
    if who["managed_identity"]:
        return ManagedIdentityCredential(who["client_id"], **settings)
    given = {name: who[option] for name, option in _OPTIONS.items() if who[option]}
    environ = {**os.environ, **given}
    missing = [name for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID") if not environ.get(name)]
    if missing:
        options = " and ".join(f"--{_OPTIONS[name].replace('_', '-')}" for name in missing)
        raise click.UsageError(
            f"the client is not configured: use {options}, or set {' and '.join(missing)}."
        )
    return _application(who, environ, settings)


def _application(who: Mapping[str, Any], environ: Mapping[str, str], settings: dict[str, Any]) -> Credential:
    from entra_guard.credentials import (  # noqa: PLC0415
        CertificateCredential,
        ClientSecretCredential,
        EnvironmentCredential,
    )
    from entra_guard.credentials._environment import PROOF_VARIABLES  # noqa: PLC0415

    ids = environ["AZURE_TENANT_ID"], environ["AZURE_CLIENT_ID"]
    settings = {"authority": environ.get("AZURE_AUTHORITY_HOST") or "public", **settings}
    if who["certificate"]:
        return CertificateCredential(
            *ids, who["certificate"], password=_password(who["certificate"], environ), **settings
        )
    if who["secret_file"]:
        return ClientSecretCredential(*ids, who["secret_file"], **settings)
    if any(environ.get(name) for name in PROOF_VARIABLES):
        return EnvironmentCredential(environ, **settings)
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"no credential: set {', '.join(PROOF_VARIABLES)}, or use --secret-file or --certificate."
        )
    return ClientSecretCredential(*ids, click.prompt("Client secret", hide_input=True, err=True), **settings)


def _password(file: Path, environ: Mapping[str, str]) -> str | None:
    """Return the password of a certificate from the environment or a prompt; None if it needs none."""
    from entra_guard.credentials._certificate_formats import (  # noqa: PLC0415
        UnusableCertificateError,
        read_keys_and_certificates,
    )

    password = environ.get(_PASSWORD)
    if password or not sys.stdin.isatty():
        return password or None
    try:
        read_keys_and_certificates(file.read_bytes(), None)
    except UnusableCertificateError as error:
        if "password" in str(error):
            return str(click.prompt("Password of the certificate", hide_input=True, err=True))
        raise ConfigurationError(f"the certificate cannot be used: {error}") from None
    return None


def _show(found: AccessToken, who: str) -> None:
    import jwt  # noqa: PLC0415

    from entra_guard.cli._claim_table import claim_table, other_claims  # noqa: PLC0415
    from entra_guard.cli._formatting import (  # noqa: PLC0415
        format_time,
        format_value,
        relative_time,
        shorten_secret,
    )
    from entra_guard.cli._report_output import show_claims  # noqa: PLC0415
    from entra_guard.cli._screen import Screen  # noqa: PLC0415

    screen, now = Screen(), time.time()
    ends = f"{relative_time(found.expires_on - now)} ({format_time(found.expires_on)})"
    # A repr has angle brackets, which mean nothing to a reader.
    rows = [("credential", escape(who.strip("<>"))), ("token", shorten_secret(found.token, _KEPT))]
    screen.name_values([*rows, ("expires", ends)])
    try:
        header = jwt.get_unverified_header(found.token)
        claims = jwt.decode(found.token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        screen.text("The token is not a JWT: only its API can read it.", indent=2)
        return
    screen.heading("Header")
    shown = [(format_value(name), format_value(value)) for name, value in header.items()]
    screen.name_values([(name[:_LONGEST], value[:_LONGEST]) for name, value in shown])
    screen.heading("Claims, not verified")
    show_claims(screen, claim_table(claims, now), other_claims(claims))
