"""A fresh Entra for each test, and the kinds of callers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from keys_entra import Callers, KeysEntra

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def entra() -> Iterator[KeysEntra]:
    entra = KeysEntra()
    yield entra
    entra.tear_down()


@pytest.fixture(params=["sync", "asyncio", "trio"])
def callers(request: pytest.FixtureRequest) -> Callers:
    return Callers(request.param)
