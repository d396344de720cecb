"""The sign-in pages: what they show, and that no other web page can press their buttons."""

from __future__ import annotations

import html
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from portal_requests import open_page, words

from entra_guard.emulator import CONTOSO, Scope

if TYPE_CHECKING:
    import httpx

    from entra_guard.emulator import AppRegistration
    from entra_guard.testing import Entra

CALLBACK = "https://shop.example/callback"


@pytest.fixture
def shop(entra: Entra) -> AppRegistration:
    return entra.register_app("Shop", identifier_uris=(), redirect_uris=[CALLBACK])


def authorize(entra: Entra, app: AppRegistration, **changes: Any) -> httpx.Response:
    usual = {
        "client_id": app.client_id,
        "response_type": "code",
        "scope": f"{entra.api.app_id_uri}/access_as_user",
    }
    return entra.http_client.get(f"/{CONTOSO}/oauth2/v2.0/authorize", params={**usual, **changes})


def press(
    entra: Entra, shown: httpx.Response, headers: dict[str, str] | None = None, **choice: str
) -> httpx.Response:
    action = re.findall(r'<form method="post" action="([^"]+)"', shown.text)[0]
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', shown.text)
    fields = {html.unescape(name): html.unescape(value) for name, value in hidden}
    return entra.http_client.post(action, data={**fields, **choice}, headers=headers)


def alice(entra: Entra) -> str:
    return entra.find_user("alice").id


FOREIGN: list[dict[str, str]] = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:8000"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
]


@pytest.mark.parametrize("headers", [*FOREIGN, {}], ids=str)
def test_another_web_page_cannot_pick_an_account(
    entra: Entra, shop: AppRegistration, headers: dict[str, str]
) -> None:
    shown = authorize(entra, shop)
    token = {} if headers else {"form_token": "guessed"}
    refused = press(entra, shown, headers, user=alice(entra), decision="accept", **token)
    assert refused.status_code == 403
    assert "Choose again" in refused.text
    assert entra.directory.grants == {}
    assert press(entra, refused, user=alice(entra), decision="accept").status_code == 302


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_another_web_page_cannot_consent_for_a_tenant(entra: Entra, headers: dict[str, str]) -> None:
    permissions = {entra.api: ["Orders.Read"]}
    app = entra.register_app("Report", identifier_uris=(), redirect_uris=[CALLBACK], permissions=permissions)
    query = {"client_id": app.client_id, "redirect_uri": CALLBACK}
    address = f"/{CONTOSO}/adminconsent"
    shown = entra.http_client.get(address, params=query)
    assert "Permissions requested" in press(entra, shown, headers, decision="accept").text
    automatic = entra.http_client.get(address, params={**query, "auto": "1"}, headers=headers)
    assert "Permissions requested" in automatic.text
    assert entra.directory.held_by(entra.directory.principal_of(app.client_id, CONTOSO).id) == {}  # type: ignore[union-attr]
    assert entra.http_client.get(address, params={**query, "auto": "1"}).status_code == 302


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_another_web_page_cannot_approve_a_device(entra: Entra, headers: dict[str, str]) -> None:
    app = entra.register_app("Television", public_client=True, identifier_uris=())
    form = {"client_id": app.client_id, "scope": "openid"}
    flow = entra.http_client.post(f"/{CONTOSO}/oauth2/v2.0/devicecode", data=form).json()
    shown = entra.http_client.post("/devicelogin", data={"user_code": flow["user_code"]})
    assert press(entra, shown, headers, user=alice(entra)).status_code == 403
    poll = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": app.client_id,
        "device_code": flow["device_code"],
    }
    token = f"/{CONTOSO}/oauth2/v2.0/token"
    assert entra.http_client.post(token, data=poll).json()["error"] == "authorization_pending"


def test_the_picker_shows_who_signed_in_last_first_and_what_was_requested(
    entra: Entra, shop: AppRegistration
) -> None:
    entra.add_user("carol.guest", home="fabrikam.onmicrosoft.com")
    entra.sign_in(shop, "bob", scope="openid")
    shown = authorize(entra, shop, code_challenge="x" * 43, code_challenge_method="S256")
    text = words(shown)
    assert text.index("Bob Brown") < text.index("Alice Adams")
    for part in ("Shop", CALLBACK, "access_as_user", "S256", "guest of Fabrikam", shop.client_id):
        assert part in text


def test_a_long_list_of_accounts_has_a_filter(entra: Entra, shop: AppRegistration) -> None:
    assert "data-filter" not in authorize(entra, shop).text
    for number in range(8):
        entra.add_user(f"person{number}")
    assert "data-filter" in authorize(entra, shop).text


def test_permissions_are_shown_once_or_whenever_the_client_requires_it(
    entra: Entra, shop: AppRegistration
) -> None:
    asked = press(entra, authorize(entra, shop), user=alice(entra))
    assert "Permissions requested" in asked.text
    assert (
        press(entra, asked, decision="cancel")
        .headers["location"]
        .startswith(f"{CALLBACK}?error=access_denied")
    )
    assert press(entra, asked, decision="accept").status_code == 302
    assert press(entra, authorize(entra, shop), user=alice(entra)).status_code == 302
    again = press(entra, authorize(entra, shop, prompt="consent"), user=alice(entra))
    assert "access_as_user" in again.text


def test_a_scope_for_administrators_is_refused_before_anything_is_shown(
    entra: Entra, shop: AppRegistration
) -> None:
    entra.update_app(entra.api, scopes=(Scope(str(uuid.uuid4()), "access_as_user", "Admin"),))
    response = press(entra, authorize(entra, shop), user=alice(entra))
    assert response.status_code == 302
    assert "AADSTS90094" in response.headers["location"]


def test_an_unregistered_redirect_uri_is_shown_beside_the_registered_one(
    entra: Entra, shop: AppRegistration
) -> None:
    shown = authorize(entra, shop, redirect_uri=f"{CALLBACK}/new")
    text = words(shown)
    for part in (
        "Redirect URI not registered",
        f"{CALLBACK} /new",
        "Add it to Shop",
        "AADSTS50011",
        "Correlation ID",
    ):
        assert part in text
    assert "<mark>/new</mark>" in shown.text
    added = press(entra, shown, {"origin": entra.url, "accept": "text/html"})
    assert added.status_code == 303
    assert "Pick an account" in authorize(entra, shop, redirect_uri=f"{CALLBACK}/new").text


def test_a_redirect_uri_that_breaks_a_rule_is_not_offered(entra: Entra, shop: AppRegistration) -> None:
    shown = words(authorize(entra, shop, redirect_uri="http://shop.example/callback"))
    assert "http is allowed only for localhost" in shown
    assert "Add it to Shop" not in shown
    assert "What to do Send a redirect URI that is registered. The requested one cannot" in shown


def test_signing_out_says_which_app_and_what_the_request_lacked(entra: Entra, shop: AppRegistration) -> None:
    leave = f"/{CONTOSO}/oauth2/v2.0/logout"
    assert "no post_logout_redirect_uri" in words(open_page(entra, leave))
    query = (
        f"?client_id={shop.client_id}&logout_hint=alice&post_logout_redirect_uri=https://elsewhere.example"
    )
    text = words(open_page(entra, f"{leave}{query}"))
    for part in ("Shop", "alice", "https://elsewhere.example", "Redirect URIs of Shop"):
        assert part in text


def test_a_wrong_device_code_is_kept_and_marked(entra: Entra) -> None:
    shown = entra.http_client.post("/devicelogin", data={"user_code": "wrongcode"}).text
    assert 'value="WRONGCODE"' in shown
    assert 'aria-invalid="true"' in shown
