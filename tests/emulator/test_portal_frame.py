"""The portal's frame: its pages load nothing from elsewhere, and no other web page can send its forms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from portal_requests import open_page, send_form, words

from entra_guard.emulator import CONSUMERS, FABRIKAM
from entra_guard.emulator._http.differences import differing
from entra_guard.emulator._http.form_guard import is_own_form
from entra_guard.emulator._http.messages import Request, is_loopback

if TYPE_CHECKING:
    from entra_guard.testing import Entra


def test_the_overview_shows_the_authority_and_what_is_in_the_tenant(entra: Entra) -> None:
    shown = words(open_page(entra, "/"))
    assert entra.authority in shown
    assert "2 app registrations" in shown
    assert "3 users" in shown
    assert "/portal/nothing" not in shown


def test_a_page_loads_nothing_from_elsewhere_and_cannot_be_framed(entra: Entra) -> None:
    response = open_page(entra, "/")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    for directive in ("script-src 'self'", "style-src 'self'", "connect-src 'self'", "form-action 'self'"):
        assert directive in policy
    assert "frame-ancestors 'none'" in policy
    assert " style=" not in response.text
    assert "<style" not in response.text


@pytest.mark.parametrize("name", ["portal.css", "portal.js", "icon.svg"])
def test_static_files_are_served_and_cached_by_the_hash_of_their_content(entra: Entra, name: str) -> None:
    address = next(part for part in open_page(entra, "/").text.split('"') if f"/{name}?v=" in part)
    response = entra.http_client.get(address)
    assert response.status_code == 200
    assert "immutable" in response.headers["cache-control"]
    assert entra.http_client.get("/portal/static/../portal.py").status_code == 404


def test_the_chosen_tenant_is_remembered(entra: Entra) -> None:
    assert "· Fabrikam ·" in open_page(entra, f"/?tenant={FABRIKAM}").text
    assert "· Fabrikam ·" in open_page(entra, "/").text
    assert "· Fabrikam ·" in open_page(entra, "/?tenant=unknown").text


def test_faults_and_a_shifted_clock_are_shown_on_every_page(entra: Entra) -> None:
    assert 'class="chip warn"' not in open_page(entra, "/").text
    entra.fail("token", "503")
    entra.advance(3600)
    shown = words(open_page(entra, "/"))
    assert "1 fault set" in shown
    assert "Clock +1 h" in shown


@pytest.mark.parametrize("path", ["/nothing", "/_emu/", "/portal/nothing", "/contoso/nothing"])
def test_an_unknown_address_is_a_page_for_browsers_and_json_for_programs(entra: Entra, path: str) -> None:
    shown = open_page(entra, path)
    assert (shown.status_code, shown.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "The nearest address that exists" in shown.text
    response = entra.http_client.get(path, headers={"accept": "application/json"})
    assert (response.status_code, response.headers["content-type"].split(";")[0]) == (404, "application/json")


BASE = "http://127.0.0.1:8787"


@pytest.mark.parametrize(
    ("headers", "token", "allowed"),
    [
        ({"origin": BASE, "sec-fetch-site": "same-origin"}, "right", True),
        ({"origin": BASE}, "right", True),
        ({}, "right", True),
        ({"sec-fetch-site": "none"}, "right", True),
        ({}, "wrong", False),
        ({}, "", False),
        ({"origin": BASE, "sec-fetch-site": "same-origin"}, "wrong", False),
        ({"origin": "http://127.0.0.1:8000"}, "right", False),
        ({"origin": "https://127.0.0.1:8787"}, "right", False),
        ({"origin": "http://localhost:8787"}, "right", False),
        ({"origin": f"{BASE}.evil.example"}, "right", False),
        ({"origin": "null"}, "right", False),
        ({"origin": ""}, "right", False),
        ({"sec-fetch-site": "same-site"}, "right", False),
        ({"sec-fetch-site": "cross-site"}, "right", False),
        ({"origin": BASE, "sec-fetch-site": "Cross-Site"}, "right", False),
    ],
)
def test_a_form_must_come_from_an_own_page(headers: dict[str, str], token: str, allowed: bool) -> None:
    request = Request("POST", "http", "127.0.0.1:8787", "/portal/apps/new", headers=headers)
    assert is_own_form(request, {"form_token": token}, "right") is allowed


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *(
            (host, True)
            for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8787", "[::1]:80", "entra.localhost")
        ),
        *(
            (host, False)
            for host in (
                *("", "evil.example", "localhost.evil.example", "evil.example\\@localhost", "x@localhost"),
                *("localhost:99999", "localhost:", "localhost:8787/", "127.0.0.1.evil.example", "127.0.0.2"),
                *("localhost\n", " localhost", "evil.example#.localhost", "evil.example?.localhost"),
                *(
                    "evil.example/.localhost",
                    "\uff4cocalhost",
                    "localhost.",
                    "[::1",
                    "evil.example:80@localhost",
                ),
            )
        ),
    ],
)
def test_only_names_of_this_machine_are_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local


@pytest.mark.parametrize(
    ("first", "second"),
    [("http://a/cb", "http://a/callback"), ("", "x"), ("same", "same"), ("aa", "aaa"), ("abc", "axc")],
)
def test_the_parts_of_two_texts_make_the_texts(first: str, second: str) -> None:
    one, two = differing(first, second)
    assert ("".join(one), "".join(two)) == (first, second)
    assert (one[0], one[2]) == (two[0], two[2])


@pytest.mark.parametrize(
    "path", ["/portal/apps", "/portal/apps/new", "/portal/groups/new", "/portal/identities"]
)
def test_the_tenant_of_personal_accounts_offers_no_registration(entra: Entra, path: str) -> None:
    users = open_page(entra, f"/portal/users?tenant={CONSUMERS}")
    assert "Dave Davis" in words(users)
    for page in (users, open_page(entra, f"/?tenant={CONSUMERS}")):
        assert f'href="{path}"' not in page.text
    missing = open_page(entra, f"{path}?tenant={CONSUMERS}")
    assert (missing.status_code, "is registered in an organization" in words(missing)) == (404, True)
    link = re.findall(r'href="([^"]*)">this page in Contoso', missing.text)[0]
    assert open_page(entra, link).status_code == 200
    before = entra.directory
    refused = send_form(entra, path, {"name": "x", "form_tenant": CONSUMERS})
    assert (refused.status_code, entra.directory is before) == (404, True)
