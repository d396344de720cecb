"""The options that all these commands have, and the session that they describe."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from entra_guard.cli.app._calls import CommandError
from entra_guard.cli.app._target import Where, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entra_guard.cli.app._calls import Plan
    from entra_guard.cli.app._run import Runner
    from entra_guard.cli.app._target import Target

T = TypeVar("T")
CLOUDS: Final = ("public", "us-government", "china")
CREDENTIALS: Final = ("environment", "azure-cli", "managed-identity")
_OPTIONS: Final = (
    click.option(
        "--tenant", metavar="ID", default="", help="A real tenant: its id or domain.  [default: the emulator]"
    ),
    click.option(
        "--emulator",
        metavar="URL",
        default="",
        help="The emulator's URL; --tenant then names one of its tenants.  "
        "[env: ENTRA_EMULATOR_URL; default: http://127.0.0.1:8787]",
    ),
    click.option("--cloud", type=click.Choice(CLOUDS), default="public", help="The cloud of a real tenant."),
    click.option(
        "--credential",
        type=click.Choice(CREDENTIALS),
        default=None,
        help="The login to a real tenant.  [default: the AZURE_ variables, otherwise azure-cli]",
    ),
    click.option(
        "--yes", is_flag=True, help="Skip the confirmation of secrets, consent and deletion in a real tenant."
    ),
    click.option("--dry-run", is_flag=True, help="Print each Graph request, and change nothing."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
)


@dataclass(frozen=True, slots=True)
class Session:
    """What the common options say."""

    where: Where
    yes: bool
    dry_run: bool
    as_json: bool

    @property
    def by_name(self) -> bool:
        """Whether a display name identifies an application: on the emulator only."""
        return not self.where.is_tenant

    def target(self) -> Target:
        """Return the tenant, and the client that reaches it."""
        given: dict[str, Any] = click.get_current_context().obj or {}
        return given.get("target") or resolve(self.where, dry_run=self.dry_run)

    def run(self, plan: Plan[T], show: Callable[[Runner, T], None]) -> None:
        """Run a plan, and show its result; in a dry run, show its requests."""
        from entra_guard.cli.app._run import Runner, print_requests  # noqa: PLC0415  # --help stays fast

        runner = Runner(self.target(), dry_run=self.dry_run, yes=self.yes)
        try:
            result = runner.run(plan)
        except CommandError:
            if self.dry_run and runner.printed and not self.as_json:
                print_requests(runner.printed)
            raise
        finally:
            if runner.target.graph is not None:
                runner.target.graph.close()
        if not self.dry_run:
            show(runner, result)
        elif self.as_json:
            print_json(runner.printed)
        else:
            print_requests(runner.printed)


def print_json(content: Any) -> None:
    """Print JSON in ASCII, which no terminal interprets."""
    click.echo(json.dumps(content, indent=2))


def _check_texts(own: Mapping[str, Any]) -> None:
    """Check that what was typed is UTF-8: Python keeps other bytes as halves of surrogate pairs.

    Raises:
        UsageError: It is not. File names may be.
    """
    for name, value in own.items():
        texts = cast("tuple[object, ...]", value if isinstance(value, tuple) else (value,))
        for text in texts:
            if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
                raise click.UsageError(f"{name.upper()} {text!r} is not text in UTF-8.")


def common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the common options to a command, which receives them as `session`."""

    @functools.wraps(command)
    def run(
        *,
        tenant: str,
        emulator: str,
        cloud: str,
        credential: str | None,
        yes: bool,
        dry_run: bool,
        as_json: bool,
        **own: Any,
    ) -> None:
        _check_texts(own)
        where = Where(tenant, emulator, cloud, credential or "")
        command(session=Session(where, yes, dry_run, as_json), **own)

    decorated: Callable[..., None] = run
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated
