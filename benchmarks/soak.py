"""`python -m benchmarks.soak [seconds [seed]]`: good and hostile callers in three worlds, while faults flip.

The emulator serves on real sockets. Cooldowns are shortened, so that a minute is like a day.
Fails if a good token receives 401, a caller waits longer than three seconds, the authority receives more
requests than the settings allow, or memory grows.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import random
import resource
import sys
import threading
import time
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from entra_guard import AccessError, Guard, KeySettings, Principal
from entra_guard._keys import refresh_policy
from entra_guard._keys import state as store
from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS: Final = KeySettings(refresh=60, cooldown=1, max_cooldown=5, max_backoff=3, wait=3)
THREADS, TASKS, TRIO_TASKS = 4, 20, 10
# Seconds between two calls of one caller: the machine must not be what callers wait for.
PAUSE: Final = 0.01
# What a busy machine may add to three seconds.
SLACK: Final = 0.5
FAULTS: Final = (
    ("all", "500"),
    ("all", "503"),
    ("all", "429"),
    ("all", "silent"),
    ("all", "dropped"),
    ("all", "refused"),
    ("all", "html"),
    ("all", "redirect"),
    ("keys", "silent"),
    ("keys", "slow"),
    ("keys", "reordered"),
    ("keys", "partial"),
    ("keys", "truncated"),
    ("keys", "empty"),
    ("keys", "oversize"),
    ("keys", "wrong-issuer"),
    ("keys", "ec-key"),
    ("keys", "private-key"),
    ("keys", "duplicate-kid"),
    ("configuration", "wrong-issuer"),
    ("configuration", "foreign-jwks-uri"),
)
GOOD, HOSTILE = "good", "hostile"


@dataclass
class Tally:
    """What happened, added to by all callers."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    waits: array[float] = field(default_factory=lambda: array("d"))
    longest: float = 0.0
    rounds: int = 0
    forced: int = 0
    failures: int = 0
    faults: int = 0
    rotations: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: str, outcome: str, waited: float) -> None:
        with self.lock:
            self.answers[kind, outcome] += 1
            self.longest = max(self.longest, waited)
            if kind == GOOD:
                self.waits.append(waited)


class Soak:
    """One guard, one Entra, many callers."""

    def __init__(self, entra: Emulator, seed: int) -> None:
        self.entra = entra
        self.random = random.Random(seed)
        self.api = entra.register_app("Orders API", app_roles=["Orders.Read"])
        self.callers = [entra.register_app(f"Caller {number}") for number in range(5)]
        self.stranger = entra.register_app("Stranger")
        self.guard = Guard(
            tenant=entra.tenant_id,
            audience=self.api.client_id,
            authority=entra.url,
            keys=SETTINGS,
            cache_size=2000,
        )
        self.tally = Tally()
        self.over = threading.Event()
        self.good: list[str] = []
        self.hostile: list[str] = []
        self._watch()

    def _watch(self) -> None:
        """Count what the ring does, where it does it."""
        ring, tally = self.guard._key_manager, self.tally
        fetch, fail, start = ring._fetch, store.fail, refresh_policy.start

        def counted_fetch(*arguments: Any) -> Any:
            tally.rounds += 1
            return fetch(*arguments)

        def counted_failed(*arguments: Any, **settings: Any) -> Any:
            tally.failures += 1
            return fail(*arguments, **settings)

        def counted_start(*arguments: Any, **settings: Any) -> Any:
            state = start(*arguments, **settings)
            tally.forced += state is not None
            return state

        ring._fetch, store.fail, refresh_policy.start = counted_fetch, counted_failed, counted_start  # type: ignore[method-assign]

    # --- tokens --------------------------------------------------------------------------------------

    def mint(self) -> None:
        """Give the callers fresh tokens, of whatever key signs now."""
        issue = self.entra.issue_token
        caller = self.random.choice(self.callers)
        self.good = [*self.good[-30:], issue(caller, audience=self.api, roles=["Orders.Read"])]
        forged = {"kid": f"forged-{self.random.random()}"}
        self.hostile = [
            issue(self.stranger, audience=self.api, roles=["Orders.Read"], headers=forged),
            issue(self.stranger, audience=self.api, roles=["Orders.Read"], preset="forged"),
            issue(self.stranger, audience=self.api, roles=["Orders.Read"], preset="expired"),
            issue(self.stranger, audience=self.api, roles=["Orders.Read"], preset="wrong-aud"),
            "." * 1000,
            "x" * 100_000,
        ]

    def pick(self) -> tuple[str, str]:
        if random.random() < 0.7:
            return GOOD, random.choice(self.good)
        return HOSTILE, random.choice(self.hostile)

    # --- callers -------------------------------------------------------------------------------------

    def on_thread(self) -> None:
        while not self.over.is_set():
            kind, token = self.pick()
            began = time.perf_counter()
            outcome = outcome_of(lambda token=token: self.guard.verify(token))  # type: ignore[misc]
            self.tally.note(kind, outcome, time.perf_counter() - began)
            time.sleep(PAUSE)

    async def in_task(self, sleep: Callable[[float], Any]) -> None:
        while not self.over.is_set():
            kind, token = self.pick()
            began = time.perf_counter()
            try:
                outcome = said(await self.guard.averify(token))
            except AccessError as error:
                outcome = error.reason
            self.tally.note(kind, outcome, time.perf_counter() - began)
            await sleep(PAUSE * 5)

    def in_asyncio(self) -> None:
        async def tasks() -> None:
            await asyncio.gather(*(self.in_task(asyncio.sleep) for _ in range(TASKS)))

        asyncio.run(tasks())

    def in_trio(self) -> None:
        async def tasks() -> None:
            async with trio.open_nursery() as nursery:
                for _ in range(TRIO_TASKS):
                    nursery.start_soon(self.in_task, trio.sleep)

        trio.run(tasks)

    # --- trouble -------------------------------------------------------------------------------------

    def trouble(self, seconds: float) -> None:
        """Set and clear faults of Entra, and roll its keys, until the time is over."""
        ends, next_fault, next_rotation = time.monotonic() + seconds, 0.0, time.monotonic() + 4
        withdraw: deque[tuple[float, str]] = deque()
        while (now := time.monotonic()) < ends:
            if now >= next_fault:
                self.entra.clear_faults()
                if self.random.random() < 0.5:
                    target, how = self.random.choice(FAULTS)
                    self.entra.fail(target, how, delay=self.random.uniform(0.2, 2), retry_after=1)  # type: ignore[arg-type]
                    self.tally.faults += 1
                next_fault = now + self.random.uniform(0.5, 4)
            if now >= next_rotation:
                withdraw.append((now + 15, self.entra.signing_key.kid))
                self.entra.rotate_keys()
                self.tally.rotations += 1
                next_rotation = now + self.random.uniform(6, 10)
            while withdraw and now >= withdraw[0][0]:
                self.entra.withdraw_key(withdraw.popleft()[1])
            self.mint()
            time.sleep(0.05)


def outcome_of(verify: Callable[[], Principal]) -> str:
    try:
        return said(verify())
    except AccessError as error:
        return error.reason


def said(principal: Principal) -> str:
    return "accepted" if principal.app_id else "no caller"


@dataclass(frozen=True)
class Memory:
    """What the process holds: MiB, and objects that the garbage collector knows."""

    mib: float
    objects: int

    @classmethod
    def now(cls) -> Memory:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(pages * resource.getpagesize() / 2**20, len(gc.get_objects()))


def budget(soak: Soak, seconds: float) -> float:
    """Return the maximum of rounds that the settings allow for what happened."""
    doublings = math.ceil(math.log2(SETTINGS.max_cooldown / SETTINGS.cooldown))
    in_background = (
        seconds / (0.9 * SETTINGS.refresh) + 1 + soak.tally.failures
    )  # one attempt follows each failure
    general = seconds / SETTINGS.max_cooldown + 2 + doublings
    for_known_callers = 8 * (seconds / SETTINGS.max_cooldown + 1)
    for_unknown_kids = general + for_known_callers
    after_each_new_key = (1 + doublings + 8) * soak.tally.rotations  # which makes both budgets new
    for_suspects = (
        seconds / SETTINGS.max_cooldown + 1 + soak.tally.rotations
    )  # the forged kid changes with the key
    return in_background + for_unknown_kids + after_each_new_key + for_suspects


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 90.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10_000)
    logging.disable(logging.CRITICAL)
    with Emulator() as entra:
        soak = Soak(entra, seed)
        soak.mint()
        workers = [threading.Thread(target=soak.on_thread) for _ in range(THREADS)]
        workers += [threading.Thread(target=soak.in_asyncio), threading.Thread(target=soak.in_trio)]
        for worker in workers:
            worker.start()
        soak.trouble(seconds / 2)
        before = Memory.now()
        soak.trouble(seconds / 2)
        after = Memory.now()
        soak.over.set()
        for worker in workers:
            worker.join(10)
    return report(soak, seconds, seed, before, after)


def report(soak: Soak, seconds: float, seed: int, before: Memory, after: Memory) -> int:
    tally = soak.tally
    waits = sorted(tally.waits)
    most = budget(soak, seconds)
    print(f"{seconds:.0f} s, seed {seed}: {tally.faults} faults, {tally.rotations} rotations")
    for (kind, outcome), number in sorted(tally.answers.items()):
        print(f"  {kind:8} {outcome:24} {number:8,}")
    middle, late = (waits[int(len(waits) * share)] * 1000 for share in (0.5, 0.999))
    print(f"  good callers waited {middle:.2f} ms at half, {late:.0f} ms at 99.9 %", end="")
    print(f"; the longest {tally.longest:.2f} s")
    print(f"  rounds of fetching: {tally.rounds} of {most:.0f} allowed")
    print(f"    {tally.forced} began with an unknown kid, {tally.failures} failed")
    print(f"  memory: {before.mib:.0f} MiB halfway and {after.mib:.0f} at the end", end="")
    print(f", {before.objects:,} objects and {after.objects:,}")
    broken = {
        "a good token received 401": any(
            kind == GOOD and outcome not in {"accepted", "keys_unavailable"}
            for kind, outcome in tally.answers
        ),
        "a hostile token was accepted": tally.answers[HOSTILE, "accepted"] > 0,
        "a caller waited longer than three seconds": tally.longest > SETTINGS.wait + SLACK,
        "the authority received too many requests": tally.rounds > most,
        "memory grew": after.mib > before.mib + 16 or after.objects > 1.15 * before.objects,
    }
    for name, holds in broken.items():
        if holds:
            print(f"BROKEN: {name}")
    return 1 if any(broken.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
