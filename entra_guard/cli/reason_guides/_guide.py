"""What an operator needs to fix one reason for a refusal: causes, how to see them, and fixes as commands.

Texts and commands have placeholders such as {api}; `filled` puts in the ids of a case, or words for them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# In place of ids that are not known: <API> and <client> are client ids.
PLACEHOLDERS: Final[Mapping[str, str]] = {
    "api": "<API>",
    "client": "<client>",
    "role": "<role>",
    "scope": "<scope>",
    "user": "<user>",
    "tenant": "<tenant id>",
    "request_scope": "<API>/.default",
    "found": "<audience of the token>",
    "audiences": "<audience of the token>,<the audiences so far>",
    "allowed": "<the clients so far>,<client>",
    "authority": "<authority>",
    "graph_client": "<client of the GroupResolver>",
    "module": "main",
}

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Guide:
    """How to find and fix the cause of one reason.

    Attributes:
        causes: The usual causes, the most frequent first.
        see: How to see which one it is: sentences, and commands that begin with '$ '.
        commands: The fix by our command line, in order; what is there already stays.
        settings: The fix by a setting of the guard, as environment variables.
        portal: The fix in the Entra admin center; '' if the registration is not the cause.
        az: The fix by the Azure CLI.
        otherwise: The fix outside of the registration: in the client, the API's code, or the host.
        facts: Example facts of a log line.
    """

    causes: tuple[str, ...]
    see: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    portal: str = ""
    az: tuple[str, ...] = ()
    otherwise: str = ""
    facts: Mapping[str, object] = field(default_factory=dict[str, object])


def filled(text: str, values: Mapping[str, str] | None = None) -> str:
    """Return a text with ids in place of its placeholders.

    Args:
        text: The text or command.
        values: The ids that are known, by placeholder.
    """
    known = {**PLACEHOLDERS, **{name: value for name, value in (values or {}).items() if value}}
    return _PLACEHOLDER.sub(lambda match: known.get(match[1], match[0]), text)


def is_filled(text: str, values: Mapping[str, str]) -> bool:
    """Return whether all placeholders of a text are known."""
    return all(values.get(name) for name in _PLACEHOLDER.findall(text))
