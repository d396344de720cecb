"""Libraries that move time in tests reach the clocks of guards and credentials, built before or after."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import freezegun
import httpx
import pytest
import time_machine

from entra_guard import AccessError, Guard
from entra_guard.credentials import ClientSecretCredential
from entra_guard.emulator import Emulator
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    Travel = Callable[[dt.datetime], AbstractContextManager[object]]


@pytest.fixture(params=[freezegun.freeze_time, time_machine.travel], ids=["freezegun", "time-machine"])
def travel(request: pytest.FixtureRequest) -> Travel:
    return request.param


@pytest.fixture
def entra() -> Entra:
    return Entra()


def later(hours: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours)


def own_guard(entra: Entra) -> Guard:
    """Build a guard as an application does, without any clock."""
    return Guard(
        tenant=entra.tenant_id,
        audience=entra.api.client_id,
        authority=entra.url,
        http_client=httpx.Client(transport=entra.transport),
    )


@pytest.mark.parametrize("build", [Entra.guard, own_guard], ids=["the fixture's guard", "its own guard"])
def test_a_token_is_expired_five_hours_later(
    entra: Entra, travel: Travel, build: Callable[[Entra], Guard]
) -> None:
    guard, token = build(entra), entra.token(roles=["access_as_application"])
    assert guard.verify(token)
    with travel(later(5)), pytest.raises(AccessError) as caught:
        guard.verify(token)
    assert caught.value.reason == "expired"
    assert guard.verify(token)


@pytest.mark.parametrize("build", [Entra.guard, own_guard], ids=["the fixture's guard", "its own guard"])
def test_a_token_of_then_is_valid_then(entra: Entra, travel: Travel, build: Callable[[Entra], Guard]) -> None:
    guard = build(entra)
    with travel(later(5)):
        assert guard.verify(entra.token())


def test_an_emulator_moves_with_the_time(travel: Travel) -> None:
    emulator, then = Emulator(), later(5)
    with travel(then):
        assert emulator.now() == pytest.approx(then.timestamp(), abs=60)
    assert emulator.now() < then.timestamp()


def test_a_cached_outbound_token_is_replaced_when_it_has_expired(entra: Entra, travel: Travel) -> None:
    daemon = entra.register_app("Daemon")
    with httpx.Client(transport=entra.transport) as web:
        credential = ClientSecretCredential(
            entra.tenant_id,
            daemon.client_id,
            entra.add_secret(daemon).value,
            authority=entra.url,
            http_client=web,
        )
        first = credential.get_token(entra.api.default_scope)
        with travel(later(5)):
            second = credential.get_token(entra.api.default_scope)
        assert second.expires_on > first.expires_on + 4 * 3600
