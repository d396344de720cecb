"""Tokens for other APIs: one cached, one for fifty callers at once, and what keeping one costs.

`python -m benchmarks.outbound`. Requests go over https, which the peers require.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import itertools
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import _progress
from benchmarks._measure import pair, per_call, table
from entra_guard.credentials import AccessToken, ClientSecretCredential
from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    Work = Callable[[], object]
    AsyncGet = Callable[[str], Awaitable[object]]

COUNTS = (1, 100, 1_000, 10_000)
HERD = 50
BAR = 10


class Fixture:
    """An emulator over https, an application, and the names of many APIs."""

    def __init__(self, entra: Emulator) -> None:
        self.entra = entra
        self.app = entra.register_app("Daemon")
        self.secret = entra.add_secret(self.app).value
        self.api = entra.register_app("Orders").default_scope
        self.token = entra.issue_token(self.app)

    def ours(self) -> ClientSecretCredential:
        return ClientSecretCredential(
            self.entra.tenant_id,
            self.app.client_id,
            self.secret,
            authority=self.entra.https_url,
            ssl_context=self.entra.ssl_context(),
        )

    def filled(self, scopes: Sequence[str]) -> ClientSecretCredential:
        """Return our credential with a cached token for each scope."""
        credential, now = self.ours(), time.time()
        for number, scope in enumerate(scopes):
            token = AccessToken(f"{number:07d}{self.token}", int(now) + 3600, now + 1800.0)
            credential._tokens.put((scope,), token)
        return credential

    def msal_cache(self, scopes: Sequence[str]) -> Any:
        """Return MSAL's cache, which azure-identity uses too, with a token for each scope."""
        import msal

        cache = msal.TokenCache()
        for number, scope in enumerate(scopes):
            cache.add(
                {
                    "client_id": self.app.client_id,
                    "scope": [scope],
                    "token_endpoint": f"{self.entra.https_url}/{self.entra.tenant_id}/oauth2/v2.0/token",
                    "response": {"access_token": f"{number:07d}{self.token}", "expires_in": 3600},
                    "params": {},
                    "data": {},
                }
            )
        return cache

    def msal(self, cache: Any = None) -> Any:
        import msal
        import requests

        session = requests.Session()
        session.trust_env = False  # a CA bundle named in the environment would win over this one
        session.verify = str(self.entra.ca_bundle)
        return msal.ConfidentialClientApplication(
            self.app.client_id,
            client_credential=self.secret,
            authority=f"{self.entra.https_url}/{self.entra.tenant_id}",
            instance_discovery=False,
            http_client=session,
            token_cache=cache,
        )

    def azure(self, module: Any, **cache: Any) -> Any:
        return module.ClientSecretCredential(
            self.entra.tenant_id,
            self.app.client_id,
            self.secret,
            authority=self.entra.https_url,
            disable_instance_discovery=True,
            connection_verify=str(self.entra.ca_bundle),
            **cache,
        )

    def authlib(self, kind: Any, scope: str, token: dict[str, Any] | None = None) -> Any:
        return kind(
            self.app.client_id,
            self.secret,
            scope=scope,
            token=token,
            token_endpoint=f"{self.entra.https_url}/{self.entra.tenant_id}/oauth2/v2.0/token",
            token_endpoint_auth_method="client_secret_post",
            grant_type="client_credentials",
            verify=self.entra.ssl_context(),
        )


def names(count: int) -> list[str]:
    return [f"api://{number:08x}-1111-2222-3333-444455556666/.default" for number in range(count)]


# --- a cached token ------------------------------------------------------------------------------------


def around(scopes: Sequence[str], get: Callable[[str], object]) -> Work:
    """Return a function that gets a token per call, for one scope after the other."""
    following = itertools.cycle(scopes).__next__
    return lambda: get(following())


def in_a_loop(get: AsyncGet, scopes: Sequence[str], look_up: Callable[[str], object]) -> tuple[float, float]:
    """Return the median microseconds of one awaited token, and its ratio to the look-up, in one loop."""

    async def run(number: int) -> float:
        following = itertools.cycle(scopes).__next__
        await get(following())
        began = time.thread_time()
        for _ in range(number):
            await get(following())
        return (time.thread_time() - began) / number * 1e6

    async def rounds() -> tuple[float, float]:
        number = max(20, int(20_000 / max(await run(20), 0.1)))
        times, ratios = [], []
        for _ in range(15):
            base = per_call(around(scopes, look_up), 50_000)
            times.append(await run(number))
            ratios.append(times[-1] / base)
        return median(times), median(ratios)

    gc.disable()
    try:
        return asyncio.run(rounds())
    finally:
        gc.enable()


def beside_the_bare_expression(credential: Any, plain: dict[str, Any]) -> tuple[float, float]:
    """Compare with `plain[scope]` written into the loop, which is faster than any call."""
    order = list(itertools.islice(itertools.cycle(plain), 10_000))

    def expression() -> None:
        for scope in order:
            plain[scope]

    def ours() -> None:
        get = credential.get_token
        for scope in order:
            get(scope)

    microseconds, ratio = pair(ours, expression)
    return microseconds / len(order), ratio


def shown(measured: tuple[float, float]) -> str:
    microseconds, ratio = measured
    return f"{ratio:.1f}x ({microseconds:.2f} µs)"


def cached(fixture: Fixture, *, peers: bool) -> None:
    rows: dict[str, list[str]] = {}

    def add(name: str, cell: str) -> None:
        rows.setdefault(name, []).append(cell)

    # Where azure-core is imported, tokens are of its class. The peers import it, so they come second.
    stages = [(of_peers, count) for of_peers in ((False, True) if peers else (False,)) for count in COUNTS]
    for of_peers, count in _progress.steps(stages, lambda stage: f"{stage[1]:,} cached tokens"):
        scopes = names(count)
        plain = {scope: number for number, scope in enumerate(scopes)}
        look_up = around(scopes, plain.__getitem__)
        before = fixture.entra.count("token")
        credential = fixture.filled(scopes)
        if of_peers:
            for name, cell in peers_cached(fixture, scopes, plain):
                add(name, cell)
            ours = shown(pair(around(scopes, credential.get_token), look_up))
            add("get_token, where azure-core is imported", ours)
            assert fixture.entra.count("token") == before, "a token was requested although one was cached"
            continue
        add("plain dictionary look-up", f"1x ({per_call(look_up, 200_000):.3f} µs)")
        add("ours, get_token", shown(pair(around(scopes, credential.get_token), look_up)))
        add("ours, await aget_token", shown(in_a_loop(credential.aget_token, scopes, plain.__getitem__)))
        add("get_token, beside the bare expression", shown(beside_the_bare_expression(credential, plain)))
        assert fixture.entra.count("token") == before, "a token was requested although one was cached"
    head = ("a cached token, as ratio to the look-up", *(f"{count:,} tokens" for count in COUNTS), "bar")
    bars = {name: f"<= {BAR}x, flat" for name in rows if name.startswith("ours")}
    table(
        "A cached token",
        head,
        [(name, *cells, bars.get(name, "")) for name, cells in rows.items()],
        name="outbound",
    )


def peers_cached(fixture: Fixture, scopes: Sequence[str], plain: dict[str, int]) -> Iterator[tuple[str, str]]:
    import azure.identity
    import azure.identity.aio
    from authlib.integrations.httpx_client import OAuth2Client

    look_up = around(scopes, plain.__getitem__)
    cache = fixture.msal_cache(scopes)
    app, sync = fixture.msal(cache), fixture.azure(azure.identity, _cache=cache)
    yield "MSAL", shown(pair(around(scopes, lambda s: app.acquire_token_for_client([s])), look_up))
    yield "azure-identity", shown(pair(around(scopes, sync.get_token), look_up))
    asynchronous = fixture.azure(azure.identity.aio, cache=cache)
    found = in_a_loop(asynchronous.get_token, scopes, plain.__getitem__)
    yield "azure-identity, aio", shown(found)
    # Authlib keeps one token per client, so several tokens need a dictionary of clients.
    one = fixture.authlib(OAuth2Client, scopes[0], {"access_token": "x", "expires_at": time.time() + 3600})
    clients = dict.fromkeys(scopes, one)

    def ensured(scope: str) -> object:
        client = clients[scope]
        return client.ensure_active_token(client.token)

    yield "Authlib, a client per scope", shown(pair(around(scopes, ensured), look_up))


# --- fifty cold callers ------------------------------------------------------------------------------


def in_threads(get: Work) -> None:
    with ThreadPoolExecutor(HERD) as pool:
        for future in [pool.submit(get) for _ in range(HERD)]:
            future.result()


async def in_tasks(get: Callable[[], Awaitable[object]]) -> None:
    await asyncio.gather(*(get() for _ in range(HERD)))


def requests_of(fixture: Fixture, herd: Work) -> int:
    """Count the token requests, with an authority that takes a tenth of a second, as a real one does."""
    before = fixture.entra.count("token")
    with fixture.entra.failing("token", "slow", delay=0.1):
        herd()
    return fixture.entra.count("token") - before


def herds(fixture: Fixture, *, peers: bool) -> None:
    ours, also = fixture.ours(), fixture.ours()
    rows: list[tuple[object, ...]] = [
        ("ours, threads", requests_of(fixture, lambda: in_threads(lambda: ours.get_token(fixture.api))), 1),
        (
            "ours, tasks",
            requests_of(fixture, lambda: asyncio.run(in_tasks(lambda: also.aget_token(fixture.api)))),
            1,
        ),
    ]
    if peers:
        rows += [(name, requests_of(fixture, herd), "") for name, herd in peer_herds(fixture)]
    head = ("", "token requests sent", "bar")
    table(f"{HERD} cold callers at once", head, rows, name="outbound-cold")
    ours.close()
    also.close()


def peer_herds(fixture: Fixture) -> Iterator[tuple[str, Work]]:
    import azure.identity
    import azure.identity.aio
    from authlib.integrations.httpx_client import AsyncOAuth2Client

    app, sync = fixture.msal(), fixture.azure(azure.identity)
    yield "MSAL, threads", lambda: in_threads(lambda: app.acquire_token_for_client([fixture.api]))
    yield "azure-identity, threads", lambda: in_threads(lambda: sync.get_token(fixture.api))

    async def azure_tasks() -> None:
        async with fixture.azure(azure.identity.aio) as credential:
            await in_tasks(lambda: credential.get_token(fixture.api))

    yield "azure-identity aio, tasks", lambda: asyncio.run(azure_tasks())

    async def authlib_tasks() -> None:
        expired = {"access_token": "x", "expires_at": time.time() - 1}
        async with fixture.authlib(AsyncOAuth2Client, fixture.api, expired) as client:
            await in_tasks(lambda: client.ensure_active_token(client.token))

    yield "Authlib async, tasks", lambda: asyncio.run(authlib_tasks())


# --- memory ------------------------------------------------------------------------------------------


def bytes_each(fixture: Fixture, fill: Callable[[Sequence[str]], object], count: int) -> float:
    """Return the bytes per token beyond the token itself; the scopes exist elsewhere."""
    scopes = names(count)
    fill(scopes[:10])  # imports and first-time allocations are not per entry
    gc.collect()
    tracemalloc.start()
    kept = fill(scopes)
    gc.collect()
    used, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return used / count - sys.getsizeof(f"{0:07d}{fixture.token}")


def memory(fixture: Fixture, *, peers: bool) -> None:
    fills: list[tuple[str, Callable[[Sequence[str]], object], str]] = [("ours", fixture.filled, "<= 400")]
    if peers:
        fills.append(("MSAL and azure-identity", fixture.msal_cache, ""))
    counts = (1_000, 10_000)
    rows = [
        (name, *(f"{bytes_each(fixture, fill, n):.0f}" for n in counts), bar) for name, fill, bar in fills
    ]
    head = ("bytes per entry beyond the token", *(f"{count:,} tokens" for count in counts), "bar")
    table("Memory", head, rows, name="outbound-memory")


def main() -> None:
    peers = all(importlib.util.find_spec(name) for name in ("msal", "azure", "authlib"))
    with Emulator(https=True) as entra:
        fixture = Fixture(entra)
        cached(fixture, peers=peers)
        herds(fixture, peers=peers)
        memory(fixture, peers=peers)
    if not peers:
        print('\nThe peers are not installed: pip install "entra-guard[peers]"')


if __name__ == "__main__":
    main()
