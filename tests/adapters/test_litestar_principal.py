"""What Litestar writes of a principal that a route returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from litestar import Litestar, get
from litestar.testing import TestClient

from entra_guard import Principal, current_principal
from entra_guard.asgi import GuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.testing import Entra


@pytest.mark.parametrize(("shown", "status"), [(Principal.as_dict, 200), (lambda principal: principal, 500)])
def test_litestar_returns_as_dict_and_never_the_fields(
    entra: Entra, shown: Callable[[Principal], object], status: int
) -> None:
    @get("/me", sync_to_thread=False)
    def me() -> object:
        return shown(current_principal())

    guard, token = entra.guard(), entra.token()
    with TestClient(GuardMiddleware(Litestar([me]), guard=guard)) as client:
        response = client.get("/me", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == status
    assert "payload" not in response.text
    assert token.split(".")[1] not in response.text
    if status == 200:
        assert response.json()["object_id"] == guard.verify(token).object_id
