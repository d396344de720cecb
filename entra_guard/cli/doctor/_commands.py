"""Commands that fix what a check found: our own for the guard's tenant, and `az`. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from entra_guard._common.guid import is_guid
from entra_guard._common.http import is_loopback
from entra_guard._keys.authority import CLOUDS

if TYPE_CHECKING:
    from entra_guard.cli.doctor._facts import Facts

_DEFAULT_CLOUD = "public"


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
    tenant = source.tenant if is_guid(source.tenant) or "." in source.tenant else "<tenant id>"
    if is_loopback(source.authority.url):
        return ("--emulator", source.authority.url, "--tenant", tenant)
    cloud = next((name for name, each in CLOUDS.items() if each.authority == source.authority.url), "")
    return ("--tenant", tenant, *(("--cloud", cloud) if cloud not in ("", _DEFAULT_CLOUD) else ()))
