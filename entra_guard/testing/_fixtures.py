"""The pytest fixtures. Importing them is cheap: the first test that uses one loads everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entra_guard.emulator import FaultInjector
    from entra_guard.testing._entra import Entra

_MARKER = "entra(roles=..., scopes=..., user=..., preset=...): defaults of entra_token and entra_client."


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `entra`."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def entra() -> Iterator[Entra]:
    """An Entra in this process, new for each test, with an API (`entra.api`) and a caller registered.

    `entra.guard()` returns the guard to create the application with.
    """
    from entra_guard.testing._entra import Entra  # noqa: PLC0415

    with Entra() as emulator:
        yield emulator


@pytest.fixture
def entra_faults(entra: Entra) -> FaultInjector:
    """Faults of this Entra: `entra_faults.fail("keys", "503")`, `with entra_faults.failing(...)`."""
    return entra.fault_injector


@pytest.fixture
def entra_token(entra: Entra, request: pytest.FixtureRequest) -> Callable[..., str]:
    """Issue a token: `entra_token(roles=[...], scopes=[...], app=, user=, version=, preset="expired")`.

    `@pytest.mark.entra(roles=[...])` sets the defaults.
    """
    defaults = _marked(request)

    def issue(**token: Any) -> str:
        return entra.token(**defaults | token)

    return issue


@pytest.fixture
def entra_client(entra: Entra, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Create a test client that sends a token: `entra_client(app, roles=[...], user="alice")`.

    It is the client of the application's own framework: Starlette, FastAPI, Flask, Django, or any ASGI or
    WSGI application. Each call creates another client, so that one test can use several callers.
    `entra_client(app, anonymous=True)` sends no token; `@pytest.mark.entra(roles=[...])` sets the defaults.
    """
    defaults = _marked(request)

    def create(application: Any = None, /, *, anonymous: bool = False, **token: Any) -> Any:
        return entra.client(application, anonymous=anonymous, **({} if anonymous else defaults) | token)

    return create


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the arguments of the markers `entra`; the closest marker wins."""
    markers = [*request.node.iter_markers("entra")]
    if any(marker.args for marker in markers):
        raise TypeError("the marker entra takes arguments by name: @pytest.mark.entra(roles=['Orders.Read'])")
    return {name: value for marker in reversed(markers) for name, value in marker.kwargs.items()}
