"""The options that describe a guard: tenant, audience and authority, in place of environment variables."""

from __future__ import annotations

from typing import Any, TypeVar

import click

F = TypeVar("F")

_OPTIONS: tuple[Any, ...] = (
    click.option(
        "--tenant", metavar="ID", help="Tenant id, or a verified domain.  [env: ENTRA_GUARD_TENANT]"
    ),
    click.option(
        "--audience",
        metavar="ID",
        multiple=True,
        help="The API's client id, or an App ID URI; repeatable.  [env: ENTRA_GUARD_AUDIENCE]",
    ),
    click.option(
        "--authority",
        metavar="URL",
        help="A cloud's name or an authority's URL.  [env: ENTRA_GUARD_AUTHORITY; default: public]",
    ),
)


def guard_options(command: F) -> F:
    """Add the options to a command; `--help` shows them in the order of the table."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
