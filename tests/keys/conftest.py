"""A fresh office for each test, and the worlds a guard is asked in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from keys_office import Office, World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.close()


@pytest.fixture(params=["sync", "asyncio", "trio"])
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)
