"""A token is read from a response, and its repr shows no secret."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from entra_guard.credentials import AccessToken
from entra_guard.credentials._cache.token import UnreadableTokenError, read_token

NOW = 1_800_000_000.0
ANSWER = {"token_type": "Bearer", "expires_in": 3600, "ext_expires_in": 3600, "access_token": "aaa.bbb.ccc"}


def test_a_lifetime_begins_with_the_request_and_half_of_it_triggers_renewal() -> None:
    assert read_token(ANSWER, NOW) == AccessToken("aaa.bbb.ccc", int(NOW) + 3600, NOW + 1800)


def test_refresh_in_decides_when_to_renew() -> None:
    assert read_token({**ANSWER, "refresh_in": 600}, NOW).refresh_on == NOW + 600


@pytest.mark.parametrize("refresh_in", [0, -1, 3600, 3590, 1e9])
def test_a_senseless_time_to_renew_is_not_obeyed(refresh_in: float) -> None:
    assert read_token({**ANSWER, "refresh_in": refresh_in}, NOW).refresh_on == NOW + 1800


@pytest.mark.parametrize(
    "life",
    [
        {"expires_in": "3600"},
        {"expires_in": None, "expires_on": str(int(NOW) + 3600)},
        {"expires_in": "", "expires_on": int(NOW) + 3600},
    ],
)
def test_a_life_may_be_written_as_a_text_or_as_a_moment(life: dict[str, Any]) -> None:
    assert read_token({**ANSWER, **life}, NOW).expires_on == NOW + 3600


def test_a_token_without_a_lifetime_is_cached_for_ten_minutes() -> None:
    assert read_token({"access_token": "aaa"}, NOW).expires_on == NOW + 600


@pytest.mark.parametrize(
    "wrong",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 7},
        {"access_token": "a b"},
        {"access_token": "a\r\nX-Injected: 1"},
        {"token_type": "pop"},
        {"expires_in": 0},
        {"expires_in": -5},
        {"expires_in": 1e12},
        {"expires_in": 10**400},
        {"refresh_in": 10**400},
        {"expires_in": "soon"},
        {"expires_in": [3600]},
        {"refresh_in": {}},
    ],
)
def test_an_answer_without_a_usable_token_is_refused_and_not_quoted(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnreadableTokenError) as caught:
        read_token({**ANSWER, **wrong}, NOW)
    assert "aaa" not in str(caught.value)


def test_no_representation_shows_the_token() -> None:
    token = AccessToken("secret", 1, 1.0)
    for text in (repr(token), str(token), f"{token}", repr([token]), "%s" % (token,)):  # noqa: UP031
        assert "secret" not in text


def test_a_token_never_changes_and_can_be_copied() -> None:
    token = AccessToken("secret", 1, 1.0)
    with pytest.raises(AttributeError):
        token.token = "other"  # type: ignore[misc]
    assert copy.copy(token) == pickle.loads(pickle.dumps(token)) == token
