"""`python -m benchmarks.resilience`: what six ways to guard an API do while Entra rolls its keys or fails.

Each scene has an Entra of its own (the emulator, on real sockets) and a fresh application, driven at ASGI
level in one event loop. Prints a Markdown table with what it counts as a tie under it, and exits with 1 where
another does better than that.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import httpx

from benchmarks import _progress
from benchmarks._candidates import CANDIDATES, HOUR, Candidate, Ours
from benchmarks._measure import table
from entra_guard.emulator import AppRegistration, Emulator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

# Seconds after which a scene ends, with or without waiting callers.
PATIENCE: Final = 8.0
_TICK: Final = 0.005


@dataclass
class Stage:
    """An Entra, one of the six before an application, and a client."""

    entra: Emulator
    api: AppRegistration
    candidate: Candidate
    client: httpx.AsyncClient

    def __post_init__(self) -> None:
        self.stranger = self.entra.register_app("Stranger")

    def good(self, number: int) -> list[str]:
        return [self.entra.issue_token(self.api, roles=["Orders.Read"], version=2) for _ in range(number)]

    def forged(self, number: int) -> list[str]:
        return [
            self.entra.issue_token(
                self.stranger,
                audience=self.api,
                roles=["Orders.Read"],
                version=2,
                headers={"kid": f"forged-{n}"},
            )
            for n in range(number)
        ]

    async def warm(self, *, then: float) -> None:
        """Fetch the keys, and let time pass, in seconds."""
        assert (await self.ask(self.good(1)[0]))[0] == 200, self.candidate.name
        self.candidate.age(then)
        self.entra.clear_requests()

    async def ask(self, token: str) -> tuple[int, float]:
        began = time.perf_counter()
        answer = await self.client.get("/", headers={"authorization": f"Bearer {token}"})
        return answer.status_code, time.perf_counter() - began


@dataclass
class Outcome:
    """What callers got."""

    statuses: Counter[int]
    slowest: float
    fetches: int
    held: float

    def wrong(self, wanted: int) -> int:
        return sum(number for status, number in self.statuses.items() if status != wanted)

    def __str__(self) -> str:
        words = [f"{number} x {status or 'no answer'}" for status, number in sorted(self.statuses.items())]
        words += [f"{self.fetches} fetch{'' if self.fetches == 1 else 'es'}"]
        words += [f"> {PATIENCE:.0f} s" if self.slowest >= PATIENCE else f"{self.slowest:.2f} s"]
        words += [f"**loop held {self.held:.1f} s**"] if self.held >= 0.1 else []
        return ", ".join(words)


async def burst(stage: Stage, tokens: Iterable[str]) -> Outcome:
    """Send all requests together; return statuses, slowest time, and how long the event loop was blocked."""
    held, done = 0.0, asyncio.Event()

    async def tick() -> None:
        nonlocal held
        while not done.is_set():
            began = time.perf_counter()
            await asyncio.sleep(_TICK)
            held = max(held, time.perf_counter() - began - _TICK)

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(2 * _TICK)
    began = time.perf_counter()
    callers = [asyncio.create_task(stage.ask(token)) for token in tokens]
    finished, waiting = await asyncio.wait(callers, timeout=PATIENCE)
    slowest = time.perf_counter() - began if waiting else max(caller.result()[1] for caller in finished)
    for caller in waiting:
        caller.cancel()
    done.set()
    await ticker
    statuses = Counter(caller.result()[0] for caller in finished) + Counter({0: len(waiting)})
    return Outcome(+statuses, slowest, stage.entra.count("keys"), held)


# --- the scenes --------------------------------------------------------------------------------------


async def cold(stage: Stage) -> Outcome:
    stage.entra.fail("keys", "slow", delay=0.2)
    return await burst(stage, stage.good(50))


async def forged(stage: Stage) -> Outcome:
    await stage.warm(then=100)
    return await burst(stage, stage.forged(100))


async def new_key_soon(stage: Stage) -> Outcome:
    await stage.warm(then=10)
    stage.entra.rotate_keys(overlap=False)
    return await burst(stage, stage.good(20))


async def new_key_later(stage: Stage) -> Outcome:
    await stage.warm(then=HOUR / 2)
    stage.entra.rotate_keys(overlap=False)
    return await burst(stage, stage.good(20))


async def new_key_in_flood(stage: Stage) -> Outcome:
    await stage.warm(then=100)
    await burst(stage, stage.forged(20))
    stage.entra.rotate_keys(overlap=False)
    stage.entra.clear_requests()
    return await burst(stage, stage.good(20))


async def outage(stage: Stage) -> Outcome:
    await stage.warm(then=stage.candidate.expires_after)
    stage.entra.fail("all", "503")
    return await burst(stage, stage.good(20))


async def long_outage(stage: Stage) -> Outcome:
    await stage.warm(then=14 * HOUR)
    stage.entra.fail("all", "503")
    return await burst(stage, stage.good(20))


async def silent(stage: Stage) -> Outcome:
    await stage.warm(then=stage.candidate.expires_after)
    stage.entra.fail("all", "silent")
    return await burst(stage, stage.good(20))


async def slow(stage: Stage) -> Outcome:
    await stage.warm(then=stage.candidate.expires_after)
    stage.entra.fail("keys", "slow", delay=1.0)
    return await burst(stage, stage.good(20))


async def empty_once(stage: Stage) -> Outcome:
    await stage.warm(then=stage.candidate.expires_after)
    stage.entra.fail_next("keys", "empty")
    await burst(stage, stage.good(1))
    await asyncio.sleep(0.2)
    return await burst(stage, stage.good(20))


async def odd_key(stage: Stage) -> Outcome:
    stage.entra.fail("keys", "ec-key")
    return await burst(stage, stage.good(20))


async def never_any(stage: Stage) -> Outcome:
    stage.entra.fail("all", "503")
    return await burst(stage, stage.good(20))


@dataclass(frozen=True)
class Scene:
    """One line of the table.

    Attributes:
        name: What happens.
        play: Plays it.
        wanted: The status that every caller should get.
        counts_fetches: Whether fewer fetches are better here. In an outage they are not: without any,
            the end of the outage would not be noticed.
    """

    name: str
    play: Callable[[Stage], Awaitable[Outcome]]
    wanted: int = 200
    counts_fetches: bool = True


SCENES: Final = (
    Scene("50 callers before any key is there (Entra takes 0.2 s)", cold),
    Scene("100 forged kids, all at once", forged, wanted=401),
    Scene("a new key 10 s after the last fetch, 20 callers", new_key_soon),
    Scene("a new key half an hour after the last fetch, 20 callers", new_key_later),
    Scene("a new key right after 20 forged kids, 20 callers", new_key_in_flood),
    Scene("keys just expired and Entra answers 503, 20 callers", outage, counts_fetches=False),
    Scene("14 hours into an outage, 20 callers", long_outage, counts_fetches=False),
    Scene("keys just expired and Entra is silent, 20 callers", silent, counts_fetches=False),
    Scene("keys just expired and Entra takes 1 s, 20 callers", slow),
    Scene("Entra sent an empty key set once, 20 callers after it", empty_once, counts_fetches=False),
    Scene("one odd key (EC) among good ones, 20 callers", odd_key),
    Scene("never any key and Entra answers 503, 20 callers", never_any, wanted=503, counts_fetches=False),
)


def play(scene: Scene, kind: type[Candidate]) -> Outcome:
    """Play one scene with one of the six."""
    with Emulator(seed=1) as entra:
        api = entra.register_app("Orders API", app_roles=["Orders.Read"])
        curtain = threading.Timer(PATIENCE + 1, entra.stop)  # a blocked event loop never ends a scene
        curtain.daemon = True
        curtain.start()
        try:
            return asyncio.run(_played(scene, kind(entra, api), entra, api))
        finally:
            curtain.cancel()


async def _played(scene: Scene, candidate: Candidate, entra: Emulator, api: AppRegistration) -> Outcome:
    transport = httpx.ASGITransport(candidate.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.example", timeout=None) as client:
        return await scene.play(Stage(entra, api, candidate, client))


TIE_FETCHES: Final = 1
TIE_SECONDS: Final = 0.2


def is_better(theirs: Outcome, ours: Outcome, scene: Scene) -> bool:
    """Return whether another did better: fewer wrong responses, or as few in clearly less time."""
    mine, other = ours.wrong(scene.wanted), theirs.wrong(scene.wanted)
    if mine != other:
        return other < mine
    if scene.counts_fetches and ours.fetches > max(TIE_FETCHES, theirs.fetches):
        return True
    return theirs.slowest < ours.slowest - TIE_SECONDS or theirs.held < ours.held - TIE_SECONDS


FOOTNOTE: Final = (
    "A cell has the responses, how often the key set was fetched (configurations are not counted) and the "
    f"slowest caller. Up to {TIE_FETCHES} fetch and {TIE_SECONDS} s more than another count as a tie: "
    "entra_guard reads two configurations before the first keys, one for each version of tokens, and looks "
    "up a forged kid once where one that never looks for new keys does not. Where no keys were ever there "
    "and Entra answers 503, 503 is the right answer to a good token, and 401 a wrong one."
)


def rows(beaten: list[str]) -> Iterator[tuple[object, ...]]:
    """Play all scenes; yield a row for each, and collect where another did better than we."""
    for kind in CANDIDATES:
        play(SCENES[0], kind)  # a rehearsal: costs that a process pays once are not measured
    for scene in _progress.steps(SCENES, lambda scene: scene.name):
        outcomes: dict[Any, Outcome] = {kind: play(scene, kind) for kind in CANDIDATES}
        yield scene.name, *map(str, outcomes.values())
        beaten += [
            f"{kind.name}: {scene.name}"
            for kind, outcome in outcomes.items()
            if kind is not Ours and is_better(outcome, outcomes[Ours], scene)
        ]


def main() -> int:
    logging.disable(logging.CRITICAL)
    packages = ("PyJWT", "fastapi-azure-auth", "fastmcp", "jwks-client")
    title = f"Outages: {', '.join(f'{name} {version(name)}' for name in packages)}"
    beaten: list[str] = []
    head = ("what happens", *(kind.name for kind in CANDIDATES))
    table(title, head, rows(beaten), name="outages")
    print(f"\n{FOOTNOTE}")
    for line in beaten:
        print(f"\nbetter than ours: {line}")
    return 1 if beaten else 0


if __name__ == "__main__":
    sys.exit(main())
