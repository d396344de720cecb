"""Unfinished sign-ins end: the store does not grow, however many users sign in."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from entra_guard.emulator._store.sessions import (
    CODE_LIFETIME,
    DEVICE_LIFETIME,
    MAX_ENTRIES,
    REFRESH_LIFETIME,
    AuthorizationCode,
    DeviceCode,
    RefreshToken,
    Sessions,
)

if TYPE_CHECKING:
    from entra_guard.emulator import Emulator

VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REDIRECT_URI = "http://localhost:5000/callback"


def code(expires: float) -> AuthorizationCode:
    return AuthorizationCode("app", "tenant", "user", "openid", REDIRECT_URI, expires)


def refresh_token(expires: float) -> RefreshToken:
    return RefreshToken("app", "tenant", "user", "openid", 0.0, expires)


def device_code(expires: float) -> DeviceCode:
    return DeviceCode("app", "tenant", "openid", "USERCODE", expires)


KINDS = [
    ("codes", code, Sessions.with_code),
    ("refresh_tokens", refresh_token, Sessions.with_refresh_token),
    ("device_codes", device_code, Sessions.with_device_code),
]


@pytest.mark.parametrize(("part", "create", "add"), KINDS)
def test_an_entry_is_removed_when_it_ends(part: str, create: Any, add: Any) -> None:
    sessions = add(Sessions(), "first", create(expires=10.0), now=0.0)
    sessions = add(sessions, "second", create(expires=20.0), now=9.9)
    assert len(getattr(sessions, part)) == 2
    sessions = add(sessions, "third", create(expires=30.0), now=10.0)
    assert [entry.expires for entry in getattr(sessions, part).values()] == [20.0, 30.0]


@pytest.mark.parametrize(("part", "create", "add"), KINDS)
def test_live_entries_are_bounded_and_the_oldest_go_first(part: str, create: Any, add: Any) -> None:
    sessions = Sessions()
    for number in range(MAX_ENTRIES + 10):
        sessions = add(sessions, str(number), create(expires=1000.0 + number), now=0.0)
    expiries = [entry.expires for entry in getattr(sessions, part).values()]
    assert expiries == [1010.0 + number for number in range(MAX_ENTRIES)]


@pytest.fixture
def desktop(entra: Emulator) -> Any:
    return entra.register_app("Desktop", public_redirect_uris=[REDIRECT_URI], scopes=["access_as_user"])


def redeem(web: httpx.Client, entra: Emulator, app: Any, text: str) -> dict[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "client_id": app.client_id,
        "code": text,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": VERIFIER,
    }
    return web.post(f"{entra.authority}/oauth2/v2.0/token", data=form).json()


def test_twelve_thousand_sign_ins_do_not_grow_the_store(entra: Emulator, desktop: Any) -> None:
    scope = f"{desktop.app_id_uri}/access_as_user offline_access"
    with httpx.Client(transport=entra.transport) as web:
        for number in range(12_000):
            text = entra.sign_in(desktop, scope=scope, code_challenge=CHALLENGE)
            if number % 100 == 0:
                assert "refresh_token" in redeem(web, entra, desktop, text)
            entra.advance(60)
    state = entra.store.state
    assert len(state.sessions.codes) <= CODE_LIFETIME / 60 + 1
    assert len(state.sessions.refresh_tokens) <= 120
    assert len(state.directory.grants) == 1


def test_a_code_that_was_redeemed_is_reported_until_it_would_have_expired(
    entra: Emulator, desktop: Any
) -> None:
    text = entra.sign_in(desktop, scope="openid", code_challenge=CHALLENGE)
    with httpx.Client(transport=entra.transport) as web:
        assert "access_token" in redeem(web, entra, desktop, text)
        assert redeem(web, entra, desktop, text)["error_codes"] == [54005]
        entra.advance(CODE_LIFETIME)
        entra.sign_in(desktop, scope="openid", code_challenge=CHALLENGE)
        assert redeem(web, entra, desktop, text)["error_codes"] == [70000]


def test_a_device_code_is_redeemable_once_and_not_approved_after_it_ended(
    entra: Emulator, desktop: Any
) -> None:
    base = f"{entra.authority}/oauth2/v2.0"
    with httpx.Client(transport=entra.transport) as web:
        request = {"client_id": desktop.client_id, "scope": "openid"}
        device = web.post(f"{base}/devicecode", data=request).json()
        entra.approve_device(device["user_code"])
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "client_id": desktop.client_id,
            "device_code": device["device_code"],
        }
        assert "access_token" in web.post(f"{base}/token", data=form).json()
        assert web.post(f"{base}/token", data=form).json()["error"] == "bad_verification_code"
        late = web.post(f"{base}/devicecode", data=request).json()
        entra.advance(DEVICE_LIFETIME)
        with pytest.raises(LookupError, match="may have expired"):
            entra.approve_device(late["user_code"])


def test_lifetimes_are_entras() -> None:
    assert (CODE_LIFETIME, DEVICE_LIFETIME, REFRESH_LIFETIME) == (600, 900, 90 * 24 * 3600)
