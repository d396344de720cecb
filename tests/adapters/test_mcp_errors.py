"""The errors that an MCP server sends to its client."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import anyio
import pytest

from entra_guard.errors import ConfigurationError, TokenAcquisitionError
from entra_guard.mcp import on_behalf_of
from entra_guard.mcp._tool_errors import error_for_client
from entra_guard.principal import acting

if TYPE_CHECKING:
    from entra_guard.testing import Entra

CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'


def test_a_claims_challenge_is_in_the_text_and_the_tool_has_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = TokenAcquisitionError(
        "No token: AADSTS50076 of api://next", error="interaction_required", codes=[50076], claims=CLAIMS
    )
    shown = error_for_client(error)
    sentence = "The user must sign in again before this server can call the next API."
    assert str(shown) == f"{sentence} Claims for the sign-in: {CLAIMS}"
    assert (shown.error, shown.codes, shown.claims) == ("interaction_required", (50076,), CLAIMS)
    assert "AADSTS50076 of api://next" in caplog.text
    copied = pickle.loads(pickle.dumps(shown))
    assert (type(copied), str(copied), vars(copied)) == (TokenAcquisitionError, str(shown), vars(shown))


def test_a_mistake_of_the_operator_is_in_the_log_alone(
    entra: Entra, caplog: pytest.LogCaptureFixture
) -> None:
    request = {"headers": [(b"authorization", b"Bearer a.b.c")]}
    credential = entra.credential()
    with acting(entra.principal(user="alice"), None, request):
        with pytest.raises(ConfigurationError) as one:
            on_behalf_of("no credential")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError) as other:
            on_behalf_of(credential).get_token()
        with pytest.raises(ConfigurationError) as third:
            anyio.run(on_behalf_of(credential).aget_token)
    for error in (one.value, other.value, third.value):
        assert str(error) == "This server cannot call the next API. Its log has the reason."
        assert error.__cause__ is error.__context__ is None
    assert "str does not prove an application" in caplog.text
    assert "give at least one scope" in caplog.text
