"""`entra-guard app secret`, `app certificate` and `app federated`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from entra_guard._common.audiences import EXCHANGE_AUDIENCE
from entra_guard._common.utc import DAY
from entra_guard.cli.app._calls import CommandError
from entra_guard.cli.app._options import common_options
from entra_guard.cli.app._plan_credentials import (
    add_federated,
    new_certificate,
    new_secret,
    remove_certificate,
    remove_secret,
)
from entra_guard.cli.app._report import report

if TYPE_CHECKING:
    from entra_guard.cli.app._calls import Row
    from entra_guard.cli.app._options import Session
    from entra_guard.cli.app._run import Runner

_LONGEST_DAYS: Final = 730
_SHORTEST_NAME: Final = 3
_WARNING: Final = (
    "Warning: a secret can be copied, and it ends. Prefer a certificate ('app certificate add'), or a "
    "federated credential ('app federated add') or managed identity, which have no secret at all."
)


@click.group()
def secret() -> None:
    """Client secrets of an application. Certificates are better."""


@secret.command("add")
@click.argument("ref", metavar="APP")
@click.option("--description", metavar="TEXT", default="", help="A name to show.")
@click.option(
    "--days",
    type=click.IntRange(1, _LONGEST_DAYS),
    default=180,
    show_default=True,
    help="How long it is valid.",
)
@common_options
def add_secret_command(session: Session, *, ref: str, description: str, days: int) -> None:
    """Add a client secret to APP and print its value, once.

    The value cannot be read again. In a real tenant the command requires confirmation, or --yes.
    """
    click.echo(_WARNING, err=True)

    def show(runner: Runner, found: tuple[Row, Row]) -> None:
        row, made = found
        more = {"secret_id": made["keyId"], "ends": made["endDateTime"], "secret": made["secretText"]}
        report(session, runner, "Added a client secret", row, **more)
        if not session.as_json:
            click.echo("Copy the value now: it is not shown again.", err=True)

    session.run(new_secret(ref, description, time.time() + days * DAY, by_name=session.by_name), show)


@secret.command("remove")
@click.argument("ref", metavar="APP")
@click.argument("key_id", metavar="SECRET_ID")
@common_options
def remove_secret_command(session: Session, *, ref: str, key_id: str) -> None:
    """Remove a client secret of APP by its id, which 'app show' lists."""
    plan = remove_secret(ref, key_id, by_name=session.by_name)
    session.run(plan, lambda r, row: report(session, r, "Removed a client secret", row))


@click.group()
def certificate() -> None:
    """Certificates of an application."""


@certificate.command("add")
@click.argument("ref", metavar="APP")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--new",
    "new_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Make a key and a certificate, and write both to FILE (PEM, 0600).",
)
@click.option(
    "--days",
    type=click.IntRange(1, _LONGEST_DAYS),
    default=365,
    show_default=True,
    help="Validity of a new one.",
)
@click.option("--description", metavar="TEXT", default="", help="A name to show.")
@common_options
def add_certificate_command(
    session: Session, *, ref: str, file: Path | None, new_file: Path | None, days: int, description: str
) -> None:
    """Register the certificate in FILE (PEM or DER) with APP.

    Only its public part is sent.

    \b
        entra-guard app certificate add <client id> --new nightly.pem
        entra-guard app certificate add <client id> nightly.crt
    """  # noqa: D301  # click wants the character, not the letters
    if (file is None) == (new_file is None):
        raise click.UsageError("name a certificate FILE, or make one with --new FILE.")
    if file is not None:
        from entra_guard.cli.app._certificates import read_der  # noqa: PLC0415  # --help stays fast

        der = read_der(file)
        plan = new_certificate(ref, lambda _app: der, description or file.stem, by_name=session.by_name)
        session.run(plan, lambda r, row: _show_certificate(session, r, row, der))
        return
    assert new_file is not None  # noqa: S101  # checked above
    _add_new(session, ref, new_file, days, description)


@certificate.command("remove")
@click.argument("ref", metavar="APP")
@click.argument("key_id", metavar="CERTIFICATE_ID")
@common_options
def remove_certificate_command(session: Session, *, ref: str, key_id: str) -> None:
    """Remove a certificate of APP by its id, which 'app show' lists."""
    plan = remove_certificate(ref, key_id, by_name=session.by_name)
    session.run(plan, lambda r, row: report(session, r, "Removed a certificate", row))


def _add_new(session: Session, ref: str, file: Path, days: int, description: str) -> None:
    from entra_guard.cli.app._certificates import der_of, generate  # noqa: PLC0415
    from entra_guard.cli.app._files import NewFile, refuse_tracked  # noqa: PLC0415

    made = generate(description or file.stem, days * DAY)
    der = der_of(made.certificate)
    plan = new_certificate(ref, lambda _app: der, description or file.stem, by_name=session.by_name)
    if session.dry_run:
        refuse_tracked(file)
        session.run(plan, lambda _runner, _row: None)
        return
    with NewFile(file) as target:

        def show(runner: Runner, row: Row) -> None:
            target.write(made.pem)
            _show_certificate(session, runner, row, der, file=str(file))

        session.run(plan, show)


def _show_certificate(session: Session, runner: Runner, row: Row, der: bytes, **more: Any) -> None:
    from entra_guard.cli.app._certificates import thumbprint  # noqa: PLC0415

    report(session, runner, "Registered the certificate", row, thumbprint=thumbprint(der), **more)


@click.group()
def federated() -> None:
    """Federated credentials: another issuer's tokens, no secret."""


@federated.command("add")
@click.argument("ref", metavar="APP")
@click.option("--issuer", metavar="URL", default="", help="The 'iss' of the other issuer's tokens, exactly.")
@click.option("--subject", metavar="TEXT", default="", help="Their 'sub', exactly.")
@click.option(
    "--github",
    metavar="OWNER/REPO:REF",
    default="",
    help="GitHub Actions: 'octo/app:ref:refs/heads/main', 'octo/app:environment:prod'.",
)
@click.option("--name", metavar="TEXT", default="", help="3 to 120 characters.  [default: from the subject]")
@click.option("--audience", metavar="TEXT", default=EXCHANGE_AUDIENCE, show_default=True, help="Their 'aud'.")
@common_options
def add_federated_command(
    session: Session, *, ref: str, issuer: str, subject: str, github: str, name: str, audience: str
) -> None:
    """Accept the tokens of another issuer as a credential of APP.

    \b
        entra-guard app federated add <id> --github octo/app:environment:prod
        entra-guard app federated add <id> --issuer https://aks.example/ \\
          --subject system:serviceaccount:orders:nightly
    """  # noqa: D301  # click wants the character, not the letters
    issuer, subject = _issuer_and_subject(issuer, subject, github)
    slug = "".join(c if c.isalnum() else "-" for c in subject).strip("-")[-120:]
    named = name or (slug if len(slug) >= _SHORTEST_NAME else f"federated-{slug}")
    plan = add_federated(ref, issuer, subject, named, audience, by_name=session.by_name)

    def show(runner: Runner, found: tuple[Row, Row]) -> None:
        row, made = found
        shown = {"name": made["name"], "issuer": issuer, "subject": subject, "audience": audience}
        report(session, runner, "Added a federated credential", row, **shown)

    session.run(plan, show)


def _issuer_and_subject(issuer: str, subject: str, github: str) -> tuple[str, str]:
    if not github:
        if not (issuer and subject):
            raise click.UsageError("name --issuer and --subject, or --github.")
        return issuer, subject
    if issuer or subject:
        raise click.UsageError("--github sets issuer and subject: leave out --issuer and --subject.")
    repository, colon, reference = github.partition(":")
    if not colon or "/" not in repository or ":" not in reference:
        raise CommandError(
            f"--github {github!r} names no branch, tag or environment.",
            "not_specific",
            "Write OWNER/REPO:ref:refs/heads/main or OWNER/REPO:environment:NAME, or any job could use it.",
        )
    return "https://token.actions.githubusercontent.com", f"repo:{github}"
