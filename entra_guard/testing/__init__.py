"""Test your own application: an Entra without sockets, tokens of every kind, clients that send them.

pytest finds the fixtures `entra`, `entra_token`, `entra_client` and `entra_faults` automatically. `Entra` is
the same for unittest. The application's guard runs for real; nothing is patched.

    def test_reading_orders_needs_the_role(entra, entra_client):
        app = create_app(entra.guard())
        assert entra_client(app, roles=["Orders.Read"]).get("/orders").status_code == 200
        assert entra_client(app).get("/orders").status_code == 403
        assert entra_client(app, anonymous=True).get("/orders").status_code == 401
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

with suppress(ImportError):  # unittest needs no pytest
    from entra_guard.testing._fixtures import (
        entra,
        entra_client,
        entra_faults,
        entra_token,
        pytest_configure,
    )

if TYPE_CHECKING:
    from entra_guard.testing._entra import Entra
    from entra_guard.testing._routes import assert_no_public_routes

__all__ = [
    "Entra",
    "assert_no_public_routes",
    "entra",
    "entra_client",
    "entra_faults",
    "entra_token",
    "pytest_configure",
]


def __getattr__(name: str) -> Any:
    """Import heavy modules at the first use: pytest loads this module in every project."""
    if name == "Entra":
        from entra_guard.testing._entra import Entra  # noqa: PLC0415

        return Entra
    if name == "assert_no_public_routes":
        from entra_guard.testing._routes import assert_no_public_routes  # noqa: PLC0415

        return assert_no_public_routes
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
