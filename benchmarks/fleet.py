"""`python -m benchmarks.fleet`: 2,000 processes over 48 hours, on the real key state with a simulated clock.

`--processes 10000` simulates a larger fleet, in about five times the time.

When a guard fetches, keeps and drops keys is decided by the real functions (`entra_guard._keys.state`,
`entra_guard._keys.refresh_policy`). Simulated are the fetch, which always takes the same time, and all that
`entra_guard._keys.manager` adds: no thread runs, no kid is remembered as unknown, no caller is turned away
from a round that others wait for, and every caller with a new key is one whom the process has verified
before. Where none is, a sudden new key in a flood waits for the end of the cooldown. Prints what reaches
Entra, what good requests were refused, and how soon a new key is known everywhere, and draws it into
`benchmarks/fleet.svg`.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from benchmarks import _pictures, _progress
from benchmarks._measure import table
from entra_guard._keys import refresh_policy
from entra_guard._keys import state as store
from entra_guard._keys.budget import NEVER
from entra_guard._keys.refresh_policy import Cause, RefreshRequest
from entra_guard._keys.settings import KeySettings
from entra_guard._keys.state import KeyCacheState, Snapshot
from entra_guard._validation.issuer import Issuer
from entra_guard._validation.jwks import KeySet

MINUTE, HOUR = 60.0, 3600.0
PROCESSES: Final = 2_000
END: Final = 48 * HOUR
# Good requests per second and process.
GOOD_RATE: Final = 10.0
# Forged kids per second and process while the flood lasts: never the same kid twice.
FORGED_RATE: Final = 0.1
# After a rotation, the share of tokens with the new key grows from none to all in this time.
TOKEN_LIFE: Final = 75 * MINUTE
# Seconds that a round takes.
EXCHANGE: Final = 0.1

START = (0.0, 30 * MINUTE)
DEPLOY = (10 * HOUR, 11 * HOUR)
OUTAGE = (13 * HOUR, 27 * HOUR)
FLOOD = (33 * HOUR, 37 * HOUR)
# Of all processes: crashes and autoscaling, at any time.
RESTARTS_A_DAY: Final = 0.1
SETTINGS: Final = KeySettings()
FORGED: Final = RefreshRequest(Cause.UNKNOWN_KID, "forged")
# The callers of one process.
CALLERS: Final = 100
ISSUER: Final = Issuer("https://login.example/{tenantid}/v2.0")
SVG: Final = Path(__file__).with_name("fleet.svg")


@dataclass(frozen=True)
class Rotation:
    """A new key: when it is published, and when Entra begins to sign with it."""

    name: str
    published: float
    used: float


ROTATIONS: Final = (
    Rotation("published two hours before its use", 5 * HOUR, 7 * HOUR),
    Rotation("sudden, in the flood", 35 * HOUR, 35 * HOUR),
    Rotation("sudden", 42 * HOUR, 42 * HOUR),
)


def _key_sets() -> list[KeySet]:
    """Return what Entra publishes after 0, 1, 2, ... rotations. Nothing verifies, so kids are enough."""
    kids = [f"key-{number}" for number in range(len(ROTATIONS) + 1)]
    return [
        KeySet(MappingProxyType({kid: kid for kid in kids[: number + 1]}))  # type: ignore[misc]
        for number in range(len(kids))
    ]


KEY_SETS: Final = _key_sets()


def published(now: float) -> KeySet:
    return KEY_SETS[sum(rotation.published <= now for rotation in ROTATIONS)]


def within(span: tuple[float, float], now: float) -> bool:
    return span[0] <= now < span[1]


@dataclass(slots=True)
class Process:
    """One guard in one process."""

    has_file: bool
    state: KeyCacheState = field(default_factory=lambda: KeyCacheState(SETTINGS))
    # Counts its starts: what was planned for an earlier life is void.
    life: int = 0
    # Since when it has had no keys.
    dark_since: float | None = None
    # What its keys file holds.
    saved: Snapshot | None = None


class Fleet:
    """All processes, an agenda, and what is counted."""

    def __init__(self, seed: int, processes: int = PROCESSES) -> None:
        self.count = processes
        self.random = random.Random(seed)
        self.agenda: list[tuple[float, int, str, int, int, Any]] = []
        self.processes = [Process(has_file=number % 2 == 0) for number in range(self.count)]
        self.requests = [0] * int(END)
        self.refused: Counter[str] = Counter()
        self.refused_at = [0.0] * (int(END // MINUTE) + 1)
        self.learned: dict[str, dict[int, float]] = defaultdict(dict)
        self._planned = 0

    def plan(self, when: float, what: str, number: int, detail: Any = None) -> None:
        """Put something on the agenda of a process's present life."""
        if when < END:
            self._planned += 1
            entry = (when, self._planned, what, number, self.processes[number].life, detail)
            heapq.heappush(self.agenda, entry)

    def run(self) -> None:
        draw = self.random
        for number in range(self.count):
            self.plan(draw.uniform(*START), "start", number)
        order = list(range(self.count))
        draw.shuffle(order)
        for place, number in enumerate(order):
            self.restart(number, DEPLOY[0] + place / self.count * (DEPLOY[1] - DEPLOY[0]))
        for _ in range(int(self.count * RESTARTS_A_DAY * END / (24 * HOUR))):
            self.restart(draw.randrange(self.count), draw.uniform(HOUR, END))
        for hour in _progress.steps(range(1, int(END // HOUR) + 1), lambda hour: f"hour {hour}"):
            while self.agenda and self.agenda[0][0] < hour * HOUR:
                now, _order, what, number, life, detail = heapq.heappop(self.agenda)
                if life == self.processes[number].life or what == "restart":
                    getattr(self, f"on_{what}")(now, number, detail)
        for number in range(self.count):
            self.lit(END, number)

    def restart(self, number: int, when: float) -> None:
        self.plan(when, "restart", number)

    # --- what happens --------------------------------------------------------------------------------

    def on_restart(self, now: float, number: int, _detail: Any) -> None:
        self.lit(now, number)
        old = self.processes[number]
        self.processes[number] = Process(old.has_file, life=old.life + 1, saved=old.saved)
        self.on_start(now, number, None)

    def on_start(self, now: float, number: int, _detail: Any) -> None:
        process = self.processes[number]
        if process.has_file and process.saved and now - process.saved.fetched_at < SETTINGS.max_stale:
            process.state = store.adopt(process.state, process.saved, now)
        else:
            process.dark_since = now
        self.round(now, number)
        if now < FLOOD[1]:
            self.plan(max(now, FLOOD[0] + self.random.expovariate(FORGED_RATE)), "forged", number)
        for index, rotation in enumerate(ROTATIONS, 1):
            if rotation.used > now:
                self.plan(self.first_token(rotation.used), "new_key", number, index)

    def first_token(self, used: float) -> float:
        """Return when a process sees its first token of a new key: its share grows linearly from 0."""
        return used + math.sqrt(2 * self.random.expovariate(1.0) * TOKEN_LIFE / GOOD_RATE)

    def on_due(self, now: float, number: int, _detail: Any) -> None:
        """Run what is due in the background thread."""
        process = self.processes[number]
        state = store.expire(process.state, now)
        if state.snapshot is None and process.dark_since is None:
            process.dark_since = now
        process.state = state
        if state.due(now):
            self.round(now, number)

    def on_forged(self, now: float, number: int, _detail: Any) -> None:
        """Receive a token with a forged kid."""
        if not within(FLOOD, now):
            return
        process = self.processes[number]
        after = refresh_policy.start(process.state, FORGED, now, self.random.random())
        if after is not None:
            process.state = after
            self.round(now, number)
        opens = max(
            process.state.general.available_at,
            process.state.next_forced_attempt if process.state.failing else now,
        )
        self.plan(max(opens, now) + self.random.expovariate(FORGED_RATE), "forged", number)

    def on_new_key(self, now: float, number: int, index: int) -> None:
        """Receive a valid token of a new key: accept it, fetch its key, or refuse it."""
        process, kid = self.processes[number], f"key-{index}"
        snapshot = process.state.snapshot
        if snapshot is None or kid in snapshot.keys.by_kid:
            return
        caller = f"caller {self.random.randrange(CALLERS)}"
        request = RefreshRequest(Cause.UNKNOWN_KID, kid, caller, is_known_caller=True)
        after = refresh_policy.start(process.state, request, now, self.random.random())
        if after is not None:
            process.state = after
            self.round(now, number)
            if process.state.snapshot and kid in process.state.snapshot.keys.by_kid:
                return
        self.refuse(now, now + 1 / GOOD_RATE, "unknown_key", share=1.0)
        self.plan(now + self.random.expovariate(GOOD_RATE), "new_key", number, index)

    # --- a round of fetching -------------------------------------------------------------------------

    def round(self, now: float, number: int) -> None:
        process = self.processes[number]
        state, jitter = process.state, self.random.random()
        configuration = state.needs_configuration(now)
        if within(OUTAGE, now):
            self.reach(now, 1 if state.failing else 2)
            after = store.fail(state, OSError("status 503"), now, now + EXCHANGE, jitter)
        else:
            self.reach(now, 1 + 2 * configuration)
            configured = now if configuration or state.snapshot is None else state.snapshot.configured_at
            snapshot = Snapshot(ISSUER, "", published(now), fetched_at=now, configured_at=configured)
            after = store.succeed(state, snapshot, now + EXCHANGE, jitter)
            assert after.snapshot is not None
            process.saved = replace(after.snapshot, configured_at=NEVER) if process.has_file else None
            self.lit(now + EXCHANGE, number)
            self.learn(now + EXCHANGE, number, snapshot.keys)
        process.state = after
        self.plan(after.next_attempt, "due", number)

    def reach(self, now: float, requests: int) -> None:
        """Count what reaches Entra, second by second."""
        self.requests[min(int(now), len(self.requests) - 1)] += requests

    def learn(self, now: float, number: int, keys: KeySet) -> None:
        for index, rotation in enumerate(ROTATIONS, 1):
            if f"key-{index}" in keys.by_kid:
                self.learned[rotation.name].setdefault(number, now - rotation.used)

    # --- good requests refused -----------------------------------------------------------------------

    def lit(self, now: float, number: int) -> None:
        """Count what a process refused while it had no keys, now that it has some or ends."""
        process = self.processes[number]
        if process.dark_since is not None:
            began = min(now, process.dark_since + SETTINGS.wait)  # the first callers wait, and are served
            kept = "with" if process.has_file else "without"
            self.refuse(began, now, f"no keys, {kept} a keys_file", share=1.0)
            process.dark_since = None

    def refuse(self, began: float, ended: float, why: str, *, share: float) -> None:
        if ended <= began:
            return
        self.refused[why] += round((ended - began) * GOOD_RATE * share)
        for minute in range(int(began // MINUTE), int(ended // MINUTE) + 1):
            inside = min(ended, (minute + 1) * MINUTE) - max(began, minute * MINUTE)
            self.refused_at[min(minute, len(self.refused_at) - 1)] += inside * GOOD_RATE * share / MINUTE


# --- the report --------------------------------------------------------------------------------------

SPANS: Final = {
    "staggered start": START,
    "calm": (2 * HOUR, 5 * HOUR),
    "rolling deploy": DEPLOY,
    "outage": OUTAGE,
    "first hour after the outage": (OUTAGE[1], OUTAGE[1] + HOUR),
    "flood of forged kids": FLOOD,
    "all 48 hours": (0.0, END),
}


def report(fleet: Fleet) -> None:
    print(f"\n{fleet.count:,} processes, {END / HOUR:.0f} hours, {GOOD_RATE:.0f} good requests/s each")
    print("Simulated on the decisions of entra_guard._keys.state; every caller is known to its process.")
    head: tuple[str, ...] = ("requests to Entra, per second", "mean", "busiest minute", "busiest second")
    table("The fleet: requests", head, [_reached(fleet, *span) for span in SPANS.items()], name="fleet")
    head = ("a new key is known everywhere, after its first use", "half", "99 %", "all")
    table("The fleet: a new key", head, [_known(fleet, rotation) for rotation in ROTATIONS])
    total = fleet.count * GOOD_RATE * END
    why = ("unknown_key", "no keys, with a keys_file", "no keys, without a keys_file")
    rows = [(name, f"{fleet.refused[name]:,}", f"{fleet.refused[name] / total:.2e}") for name in why]
    table("The fleet: refusals", ("good requests refused", "number", "of all"), rows)


def _reached(fleet: Fleet, name: str, span: tuple[float, float]) -> tuple[str, ...]:
    seconds = fleet.requests[int(span[0]) : int(span[1])]
    minutes = [sum(seconds[start : start + 60]) / 60 for start in range(0, len(seconds), 60)]
    return name, f"{sum(seconds) / len(seconds):,.1f}", f"{max(minutes):,.1f}", f"{max(seconds):,}"


def _known(fleet: Fleet, rotation: Rotation) -> tuple[str, ...]:
    after = sorted(fleet.learned[rotation.name].values())
    shares = (after[int(len(after) * share)] for share in (0.5, 0.99))
    return rotation.name, *map(_duration, shares), _duration(after[-1])


def _duration(seconds: float) -> str:
    if seconds <= 0:
        return "before"
    return f"{seconds:.0f} s" if seconds < 2 * MINUTE else f"{seconds / MINUTE:.0f} min"


def draw(fleet: Fleet, path: Path) -> None:
    plt = _pictures.pyplot()
    step = 5 * 60
    hours = [start / HOUR for start in range(0, int(END), step)]
    chunks = [fleet.requests[start : start + step] for start in range(0, int(END), step)]
    refused = [sum(fleet.refused_at[minute : minute + 5]) / 5 for minute in range(0, int(END // MINUTE), 5)]
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(9, 5), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    above.plot(hours, [max(chunk) for chunk in chunks], color="#9dbbe0", linewidth=1, label="busiest second")
    above.plot(hours, [sum(chunk) / step for chunk in chunks], color="#1f4e8c", linewidth=1.4, label="mean")
    above.set(yscale="log", ylim=(0.1, 5000), ylabel="requests/s reaching Entra")
    above.legend(loc="upper right", frameon=False, ncols=2)
    below.fill_between(hours, refused, color="#b3402e", linewidth=0)
    below.set(ylabel="refused/s", xlim=(0, END / HOUR), xticks=range(0, 49, 6), ylim=(0, None))
    below.set_xlabel(f"hours; {fleet.count:,} processes with {GOOD_RATE:.0f} good requests per second each")
    below.text(
        OUTAGE[0] / HOUR - 0.3,
        max(refused) * 0.5,
        "only processes that restarted\nin the outage without a keys_file",
        ha="right",
        va="center",
        fontsize=8,
    )
    for axes in (above, below):
        _mark(axes)
    for (began, ended), name in MARKS.items():
        above.text((began + ended) / 2 / HOUR, 5000, name, ha="center", va="bottom", fontsize=8)
    for rotation in ROTATIONS:
        where = rotation.used / HOUR + 0.15
        above.text(where, 0.13, "new key", rotation=90, va="bottom", fontsize=8, color="#666666")
    _pictures.save(figure, path)


MARKS: Final = {START: "start", DEPLOY: "deploy", OUTAGE: "Entra is down", FLOOD: "forged kids"}
_COLOURS: Final = ("#ffffff", "#e8f0e2", "#f6e3df", "#f7efd8")


def _mark(axes: Any) -> None:
    """Shade what happens, and draw a line where a new key is used."""
    axes.spines[["top", "right"]].set_visible(False)
    for (began, ended), colour in zip(MARKS, _COLOURS, strict=True):
        axes.axvspan(began / HOUR, ended / HOUR, color=colour, zorder=0, linewidth=0)
    for rotation in ROTATIONS:
        axes.axvline(rotation.used / HOUR, color="#777777", linewidth=0.8, linestyle=":")


def main(processes: int = PROCESSES) -> None:
    began = time.perf_counter()
    fleet = Fleet(seed=1, processes=processes)
    fleet.run()
    report(fleet)
    draw(fleet, SVG)
    print(f"\n{time.perf_counter() - began:.0f} s, drawn into {SVG.name}")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    arguments.add_argument("--processes", type=int, default=PROCESSES)
    main(arguments.parse_args().processes)
