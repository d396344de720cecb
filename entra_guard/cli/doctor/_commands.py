"""Commands that fix what a check found: our own for the guard's tenant, and `az`. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from entra_guard.cli._target_options import target_options

if TYPE_CHECKING:
    from entra_guard.cli.doctor._facts import Facts


def app_command(facts: Facts, *words: str) -> str:
    """Return an `entra-guard app` command for the tenant of the guard, or for its emulator.

    Args:
        facts: They name the authority and the tenant.
        words: The command's words; a placeholder such as '<client id>' is not quoted.
    """
    return command("entra-guard", "app", *words, *_where(facts))


def command(*words: str) -> str:
    """Return a command that can be pasted into a shell."""
    return " ".join(word if _is_placeholder(word) else shlex.quote(word) for word in words)


def _is_placeholder(word: str) -> bool:
    return word.startswith("<") and word.endswith(">") and word[1:-1].replace(" ", "").isalpha()


def _where(facts: Facts) -> tuple[str, ...]:
    source = facts.settings.source
    if source is None:
        return ("--tenant", "<tenant id>")
    return target_options(source.authority.url, source.tenant)
