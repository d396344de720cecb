"""`entra-guard explain`: check a token step by step."""

from __future__ import annotations

import os
from typing import Any, Final

import click

from entra_guard.errors import ConfigurationError

_REFUSED: Final = 1
_NO_KEYS: Final = 3


@click.command()
@click.option("--tenant", metavar="ID", help="Tenant id, or a verified domain.  [env: ENTRA_GUARD_TENANT]")
@click.option(
    "--audience",
    metavar="ID",
    multiple=True,
    help="The API's client id, or an App ID URI; repeatable.  [env: ENTRA_GUARD_AUDIENCE]",
)
@click.option(
    "--authority",
    metavar="URL",
    help="A cloud's name or an authority's URL.  [env: ENTRA_GUARD_AUTHORITY; default: public]",
)
@click.pass_obj
def explain(
    settings: dict[str, Any] | None, *, tenant: str | None, audience: tuple[str, ...], authority: str | None
) -> None:
    """Show step by step why an API accepts or refuses a token.

    The token is read from standard input or from a hidden prompt. The command line is not an option,
    because other users of the machine could read it there. The token is never printed. A whole header
    line works too, and so does the whole response of a token endpoint.

    \b
        entra-guard explain --tenant <id> --audience <id> < token.txt

    Exits with 1 if the token is refused, and with 3 if the keys were not available.
    """  # noqa: D301  # click wants the character, not the letters
    from entra_guard.cli._explanation_output import fact_rows, reason_rows, show_steps  # noqa: PLC0415  # --help stays fast
    from entra_guard.cli._screen import Screen  # noqa: PLC0415
    from entra_guard.cli._token_input import read_token  # noqa: PLC0415
    from entra_guard.guard import Guard  # noqa: PLC0415

    given = {"TENANT": tenant, "AUDIENCE": " ".join(audience), "AUTHORITY": authority}
    environ = os.environ | {f"ENTRA_GUARD_{name}": value for name, value in given.items() if value}
    try:
        guard = Guard.from_env(environ, **(settings or {}))
    except ConfigurationError as error:
        raise click.UsageError(f"{error}. Or use --tenant, --audience and --authority.") from None
    explanation = guard.explain(read_token())
    screen = Screen()
    show_steps(screen, explanation)
    if explanation.accepted:
        return
    screen.name_values(reason_rows(explanation.reason, fact_rows(explanation.reason, explanation.facts))[1:])
    raise SystemExit(_NO_KEYS if explanation.reason == "keys_unavailable" else _REFUSED)
