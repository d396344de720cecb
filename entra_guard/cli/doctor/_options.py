"""The options of `entra-guard doctor`, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command; None or '' where one is not given."""

    tenant: str | None
    audience: tuple[str, ...]
    authority: str | None
    keys_file: str | None
    env_file: Path | None
    guard_name: str | None
    app_name: str | None
    credential_name: str | None
    managed_identity: bool
    scope: str | None
    graph: bool
    redis: str | None
    mcp_url: str | None
    offline: bool
