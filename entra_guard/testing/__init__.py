"""Tests of one's own application: an Entra without sockets, tokens of any kind, clients that act as somebody.

pytest finds the fixtures `entra`, `entra_token` and `entra_client` here by itself; `Entra` is the same
for unittest. The application's guard runs for real; nothing is patched.

    def test_reading_orders_needs_the_role(entra, entra_client):
        app = create_app(entra.guard())
        assert entra_client(app, roles=["Orders.Read"]).get("/orders").status_code == 200
        assert entra_client(app).get("/orders").status_code == 403
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

with suppress(ImportError):  # unittest needs no pytest
    from entra_guard.testing._fixtures import entra, entra_client, entra_token

if TYPE_CHECKING:
    from entra_guard.testing._entra import Entra

__all__ = ["Entra", "entra", "entra_client", "entra_token"]


def __getattr__(name: str) -> Any:
    """Load what is heavy when it is asked for: pytest loads this module in every project."""
    if name == "Entra":
        from entra_guard.testing._entra import Entra  # noqa: PLC0415

        return Entra
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
