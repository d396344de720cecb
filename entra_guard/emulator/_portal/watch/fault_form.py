"""Faults in words, and the form that sets one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from entra_guard.emulator._faults.effects import EFFECTS
from entra_guard.emulator._oauth.aadsts import AADSTS
from entra_guard.emulator._portal.durations import DAY, duration_words
from entra_guard.emulator._portal.visit import FieldError
from entra_guard.emulator._store.faults import TARGETS, Fault, FaultTarget

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_SECONDS: Final = DAY

# `refused` is left out: it closes the ports, also for the page that would clear it.
FAULT_GROUPS: Final = (
    (
        "Errors",
        (
            ("500", "500 Internal Server Error"),
            ("503", "503 Service Unavailable"),
            ("429", "429 Too Many Requests"),
            ("temporarily_unavailable", "temporarily_unavailable (AADSTS90033)"),
            ("claims-challenge", "A claims challenge of Graph (CAE)"),
        ),
    ),
    (
        "Network",
        (
            ("slow", "A slow response (5 s)"),
            ("silent", "Accepted, but no response"),
            ("dropped", "The connection closes"),
            ("partial", "Half of the response"),
            ("reordered", "Sent after a later response"),
        ),
    ),
    (
        "Content",
        (
            ("html", "A web page instead of JSON"),
            ("truncated", "JSON that is cut off"),
            ("empty", "No keys"),
            ("oversize", "1 MiB too large"),
            ("redirect", "A redirect to another host"),
            ("wrong-issuer", "Another issuer"),
            ("foreign-jwks-uri", "Keys at another host"),
        ),
    ),
    (
        "Key documents",
        (
            ("stale", "Outdated: the keys of now, also after rotations"),
            ("shuffled", "In reverse order"),
            ("no-x5c", "Without certificates"),
            ("ec-key", "An elliptic key first"),
            ("rsa-1024-key", "A weak key first"),
            ("no-kid", "A key without kid first"),
            ("bad-base64", "A malformed key first"),
            ("enc-key", "An encryption key first"),
            ("symmetric-key", "A symmetric key first"),
            ("private-key", "A private key first"),
            ("duplicate-kid", "The same kid twice"),
        ),
    ),
    ("Entra's errors", tuple((f"AADSTS{number}", f"AADSTS{number}") for number in sorted(AADSTS))),
)
_WORDS: Final = {name: words for _, effects in FAULT_GROUPS for name, words in effects}
_TARGET_NAMES: Final[Mapping[str, str]] = {
    "configuration": "the metadata",
    "keys": "the signing keys",
    "token": "the token endpoint",
    "graph": "Graph",
    "identity": "managed identity",
    "all": "everything",
}


@dataclass(frozen=True, slots=True)
class NewFault:
    """The arguments of `FaultInjector.fail`."""

    target: FaultTarget
    how: str
    options: dict[str, Any] = field(default_factory=dict[str, Any])


def words_of_fault(fault: Fault) -> str:
    """Return a fault in words: what, where, how often, how long."""
    facts = [f"{_WORDS.get(fault.how, fault.how)} for {_TARGET_NAMES.get(fault.target, fault.target)}"]
    if fault.times is not None:
        facts.append("the next request" if fault.times == 1 else f"the next {fault.times} requests")
    if fault.probability < 1:
        facts.append(f"{fault.probability:.0%} of the requests")
    if fault.until is not None:
        facts.append(f"for another {duration_words(max(0.0, fault.until - time.monotonic()))}")
    if fault.retry_after is not None:
        facts.append(f"Retry-After {fault.retry_after:g}")
    return ", ".join(facts)


def parse_fault(fields: Mapping[str, str]) -> NewFault | list[FieldError]:
    """Return the fault that a form describes, or what is wrong with the form."""
    errors: list[FieldError] = []
    target, how = fields.get("where", ""), fields.get("what", "")
    if target not in TARGETS:
        errors.append(FieldError("where", "Choose where it happens."))
    if how not in EFFECTS or how not in _WORDS:
        errors.append(FieldError("what", "Choose what happens."))
    options: dict[str, Any] = {}
    for name, label, most in (
        ("times", "How often", 1000.0),
        ("seconds", "How long", _MOST_SECONDS),
        ("retry_after", "Retry-After", _MOST_SECONDS),
        ("percent", "Share of requests", 100.0),
    ):
        text = fields.get(name, "").strip()
        if not text:
            continue
        number = _number(text)
        if number is None or not 0 < number <= most or (name == "times" and number != int(number)):
            errors.append(FieldError(name, f"{label}: a number from 1 to {most:g}, not {text!r}."))
        else:
            options[name] = number
    return errors or NewFault(cast("FaultTarget", target), how, _as_arguments(options))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number == number and abs(number) != float("inf") else None  # noqa: PLR0124 (not a number)


def _as_arguments(options: dict[str, float]) -> dict[str, Any]:
    arguments: dict[str, Any] = {n: options[n] for n in ("seconds", "retry_after") if n in options}
    if "times" in options:
        arguments["times"] = int(options["times"])
    if "percent" in options:
        arguments["probability"] = options["percent"] / 100
    return arguments
