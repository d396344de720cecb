"""The verdict of the real guard on a token: what an API would respond, why, and what to do."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._http.transport import InProcessTransport
from entra_guard.emulator._portal.tokens.guard_remedies import place_of, remedy_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from entra_guard._validation.explain import Explanation, Step
    from entra_guard.emulator._http.delivery import Delivery
    from entra_guard.emulator._http.messages import Request
    from entra_guard.emulator._store.entries import AppRegistration
    from entra_guard.emulator._store.store import Store
    from entra_guard.guard import Guard

_MAX_GUARDS: Final = 20


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One row of the checklist. `state` is passed, failed or skipped; `why` says why it was skipped."""

    state: str
    step: str
    expected: str = ""
    found: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an API with this guard responds to a token.

    Attributes:
        status: The HTTP status: 200, 401, 403 or 503.
        reason: The name of the guard's reason; '' if the token is accepted.
        sentence: What happened.
        remedy: What to do, with real ids; '' if the token is accepted.
        rows: The checklist: failed rows first, then those not reached, then those that passed.
        place: The address of the page where it is changed; '' if no page changes it.
    """

    status: int
    reason: str
    sentence: str
    remedy: str
    rows: tuple[CheckRow, ...]
    place: str = ""

    @property
    def accepted(self) -> bool:
        return not self.reason

    @property
    def title(self) -> str:
        return f"{self.status} {self.reason}" if self.reason else "Accepted"


class GuardPool:
    """Keep a guard for each API and base URL, which sends its requests to this emulator in-process.

    Args:
        respond: Responds to requests, as for every other client.
        store: The emulator's clock.
    """

    def __init__(self, respond: Callable[[Request], Delivery], store: Store) -> None:
        self._respond = respond
        self._store = store
        self._lock = threading.Lock()
        self._guards: dict[tuple[str, AppRegistration], Guard] = {}
        self._monotonic = _ShiftedMonotonic(store)

    def guard(self, base: str, api: AppRegistration) -> Guard:
        """Return the guard of an API; a change of its registration makes a new one.

        Args:
            base: The base URL that clients use, because it is part of the issuer.
            api: The API.
        """
        with self._lock:
            guard = self._guards.get((base, api)) or self._new_guard(base, api)
            self._guards[base, api] = guard
            for oldest in list(self._guards)[:-_MAX_GUARDS]:
                del self._guards[oldest]
            return guard

    def forget(self) -> None:
        """Forget all guards and their keys, as a restart of every API would."""
        with self._lock:
            self._guards.clear()

    def _new_guard(self, base: str, api: AppRegistration) -> Guard:
        import httpx  # noqa: PLC0415 (needed only on these pages)

        from entra_guard.errors import ConfigurationError  # noqa: PLC0415
        from entra_guard.guard import Guard  # noqa: PLC0415

        try:
            return Guard(
                tenant=api.tenant_id,
                audience=api.names(),
                authority=base,
                clock=self._store.now,
                monotonic=self._monotonic,
                http_client=httpx.Client(transport=InProcessTransport(self._respond)),
            )
        except ConfigurationError as error:  # for example an App ID URI that the guard takes for a mistake
            raise LookupError(f"The guard of {api.name} refuses its settings: {error}") from None

    def check(self, base: str, api: AppRegistration, token: str, names: Mapping[str, str]) -> Verdict:
        """Return the verdict of the API's guard on a token.

        Args:
            base: The base URL that clients use.
            api: The API.
            token: The token, which need not be one.
            names: Names of apps and tenants, by id, for the remedy.
        """
        guard = self.guard(base, api)
        explanation = guard.explain(token.strip().encode("utf-8", "replace"))
        return verdict_of(explanation, api, names)


class _ShiftedMonotonic:
    """Seconds that only increase, and jump ahead with the emulator's clock: keys age with it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ahead = 0.0

    def __call__(self) -> float:
        self._ahead = max(self._ahead, self._store.now() - time.time())
        return time.monotonic() + self._ahead


def verdict_of(explanation: Explanation, api: AppRegistration, names: Mapping[str, str]) -> Verdict:
    """Return an explanation as a verdict."""
    from entra_guard.reasons import REASONS  # noqa: PLC0415 (needed only on these pages)

    rows = check_rows(explanation.steps)
    if explanation.accepted:
        sentence = f"{api.name} responds with 200, unless the operation requires a role that is missing."
        return Verdict(HTTPStatus.OK, "", sentence, "", rows)
    reason = REASONS[explanation.reason]
    remedy = remedy_for(reason.name, reason.fix, explanation.facts, api, names)
    place = place_of(reason.name, explanation.facts, names)
    return Verdict(reason.status, reason.name, reason.explanation, remedy, rows, place)


_ORDER: Final = {"failed": 0, "skipped": 1, "passed": 2}
_WHY_OPEN: Final = {
    "form": "this is not a JWT",
    "header": "the header is not accepted",
    "claims": "the claims cannot be read",
    "key": "the key is unknown",
}


def check_rows(steps: Sequence[Step]) -> tuple[CheckRow, ...]:
    """Return the rows of a checklist: failed ones first, passed ones last."""
    blocking = (step.name for step in steps if step.verdict == "fail" and step.name in _WHY_OPEN)
    why = _WHY_OPEN.get(next(blocking, ""), "the issuer's keys are not available")
    states = {"pass": "passed", "fail": "failed", "open": "skipped"}
    rows = [
        CheckRow(
            states[step.verdict],
            step.name,
            value_text(step.expected),
            value_text(step.found),
            why if step.verdict == "open" else "",
        )
        for step in steps
    ]
    return tuple(sorted(rows, key=lambda row: _ORDER[row.state]))


def value_text(value: object) -> str:
    """Return a fact of the guard on one line: lists with 'or', mappings as 'name value'."""
    if isinstance(value, dict):
        pairs = value.items()  # pyright: ignore[reportUnknownVariableType]
        return ", ".join(f"{name} {value_text(part)}" for name, part in pairs)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple | set | frozenset):
        return " or ".join(value_text(part) for part in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return str(value)
