"""The fixtures. Cheap to import: whatever is heavy is loaded by the first test that asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entra_guard.testing._entra import Entra


@pytest.fixture
def entra() -> Iterator[Entra]:
    """An Entra in this process, fresh for each test, with an API (`entra.api`) and a caller registered.

    `entra.guard()` makes the guard to build the application with.
    """
    from entra_guard.testing._entra import Entra  # noqa: PLC0415

    with Entra() as emulator:
        yield emulator


@pytest.fixture
def entra_token(entra: Entra) -> Callable[..., str]:
    """Make a token: `entra_token(roles=[...], scopes=[...], app=, user=, version=, preset="expired")`."""
    return entra.token


@pytest.fixture
def entra_client(entra: Entra) -> Callable[..., Any]:
    """Make a test client that acts as somebody: `entra_client(app, roles=[...], user="alice")`.

    A client of the application's own framework: Starlette, FastAPI, Flask, Django, or any ASGI or WSGI
    application. Each call makes another client, so that one test can be several callers.
    """
    return entra.client
