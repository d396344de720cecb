"""The presets as conditions of a token, in six groups, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from entra_guard.emulator._tokens.presets import PRESETS


@dataclass(frozen=True, slots=True)
class Condition:
    """What is special about a token: a preset's name, and its summary."""

    name: str
    summary: str


_GROUPS: Final = (
    ("Lifetime", ("expired", "not-yet-valid", "cae")),
    (
        "Signature",
        (
            "forged",
            "tampered",
            "unknown-kid",
            "alg-none",
            "hs256-with-public-key",
            "kid-of-consumer-key",
            "gov-cloud-key",
        ),
    ),
    (
        "Audience and issuer",
        (
            "wrong-aud",
            "graph-token",
            "wrong-iss",
            "iss-tid-mismatch",
            "other-tenant",
            "msa-user",
            "duplicate-tid-case",
        ),
    ),
    (
        "Kind",
        (
            "v1",
            "v2",
            "no-roles",
            "empty-scp",
            "id-token-as-access-token",
            "guest",
            "agent-autonomous",
            "agent-for-user",
            "agent-user",
        ),
    ),
    ("Size", ("group-overage", "huge")),
    ("Binding", ("mtls-bound", "dpop-bound")),
)
MOST_USED: Final = (("", "A valid token"), ("expired", "An expired one"), ("graph-token", "One for Graph"))


def condition_groups() -> list[tuple[str, list[Condition]]]:
    """Return the conditions by group."""
    return [(group, [Condition(name, PRESETS[name].summary) for name in names]) for group, names in _GROUPS]
