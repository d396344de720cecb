"""A command as a plan: a generator that yields Graph requests and receives their responses. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from entra_guard.cli._errors import CliError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Row = dict[str, Any]
T = TypeVar("T")
DEFAULT_URL: Final = "http://127.0.0.1:8787"  # of the emulator
UNIQUE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
MASKED: Final = "********"


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class GraphCall:
    """One request to Microsoft Graph.

    Attributes:
        purpose: What it is for, in a few words.
        method: GET, POST, PATCH or DELETE.
        path: Below the version, such as '/applications'.
        body: The JSON, if any.
        params: Query options.
        headers: More headers.
        assumed: The response to continue with where the request is only printed (`--dry-run`).
        pages: Whether the response is a collection, to be returned as a list with all pages.
        optional: Whether a missing object is None, not an error.
        settles: Whether the object was created a moment ago, so that Graph may not know it yet.
        masked: Members of the body that are printed as `********`.
    """

    purpose: str
    method: str
    path: str
    body: Any = None
    params: Mapping[str, Any] = field(default_factory=_nothing)
    headers: Mapping[str, str] = field(default_factory=_nothing)
    assumed: Any = None
    pages: bool = False
    optional: bool = False
    settles: bool = False
    masked: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What to confirm before the plan continues: required in a real tenant, not on the emulator."""

    text: str


Plan = Generator[GraphCall | Question, Any, T]


class CommandError(CliError):
    """A command failed: what failed, the code, and what to do."""


def quoted(value: str) -> str:
    """Return a string as OData writes it: in single quotes, doubled inside."""
    return "'" + value.replace("'", "''") + "'"
