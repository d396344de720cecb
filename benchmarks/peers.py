"""What others pay for the same token, each with its own key look-up warm, beside the bare RSA check."""

from __future__ import annotations

import asyncio
import statistics
import time
import warnings
from typing import TYPE_CHECKING, Any

import jwt

from benchmarks._fixture import Fixture
from benchmarks._measure import enough, pair, per_call, table
from benchmarks.validation import bare_rsa

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def pyjwt(fixture: Fixture, token: str) -> Callable[[], object]:
    kid = jwt.get_unverified_header(token)["kid"]
    serving = fixture.guard()._key_manager.active_keys
    key, issuer = serving.by_kid[kid].public_key, serving.issuer.v2
    return lambda: jwt.decode(token, key, algorithms=["RS256"], audience=fixture.api.client_id, issuer=issuer)


def pyjwt_with_client(fixture: Fixture, token: str, url: str) -> Callable[[], object]:
    client = jwt.PyJWKClient(f"{url}/{fixture.entra.tenant_id}/discovery/v2.0/keys")
    issuer = jwt.decode(token, options={"verify_signature": False})["iss"]

    def work() -> object:
        key = client.get_signing_key_from_jwt(token)
        return jwt.decode(token, key, algorithms=["RS256"], audience=fixture.api.client_id, issuer=issuer)

    work()
    return work


def key_set(fixture: Fixture) -> dict[str, Any]:
    import httpx

    with httpx.Client(transport=fixture.entra.transport) as client:
        document: dict[str, Any] = client.get(
            f"{fixture.entra.url}/{fixture.entra.tenant_id}/discovery/v2.0/keys"
        ).json()
        return document


def joserfc(fixture: Fixture, token: str) -> Callable[[], object]:
    from joserfc import jwt as jose
    from joserfc.jwk import KeySet

    keys = KeySet.import_key_set(key_set(fixture))
    registry = jose.JWTClaimsRegistry(aud={"essential": True, "value": fixture.api.client_id})

    def work() -> None:
        registry.validate(jose.decode(token, keys, algorithms=["RS256"]).claims)

    return work


def authlib(fixture: Fixture, token: str) -> Callable[[], object]:
    warnings.filterwarnings("ignore", message=".*authlib.jose", category=DeprecationWarning)
    from authlib.jose import JsonWebKey, JsonWebToken

    tool = JsonWebToken(["RS256"])
    keys = JsonWebKey.import_key_set(key_set(fixture))
    wanted = {"aud": {"essential": True, "value": fixture.api.client_id}}
    return lambda: tool.decode(token, keys, claims_options=wanted).validate()


def fastapi_azure_auth(fixture: Fixture, token: str, url: str) -> Callable[[], Awaitable[object]]:
    from fastapi.security import SecurityScopes
    from fastapi_azure_auth import SingleTenantAzureAuthorizationCodeBearer
    from starlette.requests import Request

    scheme = SingleTenantAzureAuthorizationCodeBearer(
        app_client_id=fixture.api.client_id,
        tenant_id=fixture.entra.tenant_id,
        scopes={f"api://{fixture.api.client_id}/Orders.Read": "read"},
    )
    scheme.openid_config.config_url = f"{url}/{fixture.entra.tenant_id}/v2.0/.well-known/openid-configuration"
    headers = [(b"authorization", b"Bearer " + token.encode())]

    async def work() -> object:
        request = Request({"type": "http", "headers": headers})
        return await scheme(request, SecurityScopes())

    return work


def pair_async(work: Callable[[], Awaitable[object]], baseline: Callable[[], object]) -> tuple[float, float]:
    """Do what `pair` does for a coroutine function, inside one event loop."""

    async def measure() -> tuple[float, float]:
        await work()
        times, ratios = [], []
        for _ in range(9):
            base = per_call(baseline, enough(baseline))
            began = time.thread_time()
            for _ in range(60):
                await work()
            ours = (time.thread_time() - began) / 60 * 1e6
            times.append(ours)
            ratios.append(ours / base)
        return statistics.median(times), statistics.median(ratios)

    return asyncio.run(measure())


def main() -> None:
    fixture = Fixture()
    with fixture.entra as entra:
        token = fixture.token()
        rsa = bare_rsa(fixture, token.encode())
        forgetful, remembering = fixture.guard(cache_size=0), fixture.guard()
        subjects: dict[str, Callable[[], object]] = {
            "entra_guard, first sight": lambda: forgetful.verify(token),
            "entra_guard, second sight": lambda: remembering.verify(token),
            "PyJWT decode": pyjwt(fixture, token),
            "PyJWT with PyJWKClient": pyjwt_with_client(fixture, token, entra.url),
            "joserfc": joserfc(fixture, token),
            "Authlib": authlib(fixture, token),
        }
        rows: list[tuple[object, ...]] = []
        for name, work in subjects.items():
            microseconds, ratio = pair(work, rsa, rounds=9, name=name)
            rows.append((name, f"{microseconds:.1f}", f"{ratio:.2f}"))
        microseconds, ratio = pair_async(fastapi_azure_auth(fixture, token, entra.url), rsa)
        rows.append(("fastapi-azure-auth", f"{microseconds:.1f}", f"{ratio:.2f}"))
    table("The same token, others", ("", "µs", "ratio to the bare RSA check"), rows, name="peers")


if __name__ == "__main__":
    main()
