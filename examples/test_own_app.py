"""Tests of one's own application, here of flask_app.py.

Run them with: pytest test_own_app.py
The fixtures come with entra_guard. The guard's real code runs, against an emulator in the test process.
"""

import pytest
from flask import Flask
from flask_app import create_app


@pytest.fixture
def app(entra) -> Flask:
    return create_app(entra.guard())


def test_a_user_reads_orders(app, entra_client) -> None:
    alice = entra_client(app, user="alice", scopes=["Orders.Read"])
    assert alice.get("/orders").json == {"for": "Alice Adams"}


def test_placing_orders_needs_the_role(app, entra_client) -> None:
    assert entra_client(app, roles=["Orders.Write"]).post("/orders").status_code == 201
    refused = entra_client(app, roles=["Orders.Read"]).post("/orders")
    assert refused.status_code == 403
    assert "Ask the orders team" in refused.text


def test_an_expired_token_is_refused(app, entra_client) -> None:
    assert entra_client(app, preset="expired").get("/orders").json["reason"] == "expired"


def test_time_passes(app, entra, entra_client) -> None:
    alice = entra_client(app, user="alice")
    assert alice.get("/orders").status_code == 200
    entra.advance(2 * 3600)
    assert alice.get("/orders").status_code == 401
