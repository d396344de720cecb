"""The portal's pages that live by their script, in Chromium: activity, tokens, sample API, copying."""

from __future__ import annotations

import html
import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from browsing import chromium, follow, wait_for_clipboard
from needed_parts import needs_module, needs_program

from entra_guard.emulator import Emulator
from entra_guard.emulator._portal.code.curl_command import curl_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from entra_guard.emulator import Samples

NARROWEST = 320


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Emulator, Samples]]:
    with Emulator(https=True) as entra:
        yield entra, entra.add_samples()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    needs_module("playwright")
    with chromium() as browser:
        yield browser


def request_token(entra: Emulator, samples: Samples, **form: str) -> None:
    usual = {
        "grant_type": "client_credentials",
        "client_id": samples.daemon.client_id,
        "client_secret": samples.secret.value,
        "scope": samples.api.default_scope,
    }
    httpx.post(f"{entra.authority}/oauth2/v2.0/token", data={**usual, **form})


def check_width(page: Page) -> None:
    """Check that a result fits the narrowest screen; another test measures the pages without results."""
    page.set_viewport_size({"width": NARROWEST, "height": 900})
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    page.set_viewport_size({"width": 1280, "height": 900})


def test_the_pages_work_together(served: tuple[Emulator, Samples], browser: Browser) -> None:
    entra, samples = served
    context = browser.new_context(base_url=entra.url, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    problems: list[Any] = []
    requested: list[str] = []
    page.on("pageerror", lambda error: problems.append(error))  # noqa: PLW0108 (Playwright sets attributes)
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: requested.append(request.url))
    _check_activity(page, entra, samples)
    _check_tokens_and_sample_api(page, samples)
    _check_error_codes(page)
    assert problems == []
    assert {url for url in requested if not url.startswith(entra.url)} == set()
    assert not any("eyJ" in url for url in requested)
    context.close()


def _check_activity(page: Page, entra: Emulator, samples: Samples) -> None:
    entra.clear_faults()  # of tests before this one
    entra.request_log.clear_exchanges()
    page.clock.install(time=0)
    page.goto("/portal/activity")
    page.clock.pause_at(3_600_000)  # the page's timers run by `run_for` only
    assert page.get_by_text("Nothing yet").is_visible()
    request_token(entra, samples, client_secret="wrong-secret")
    page.clock.run_for(2100)
    row = page.locator("summary.log-line")
    row.wait_for()
    assert "AADSTS7000215" in row.inner_text()
    assert page.get_by_text("Nothing yet").is_hidden()
    row.click()
    page.get_by_role("heading", name="Steps").wait_for()
    assert "Send the secret's value, not its ID" in page.locator(".opened").inner_text()
    check_width(page)
    # An open row is being read: nothing moves until it is closed.
    request_token(entra, samples)
    page.clock.run_for(2100)
    assert page.locator("summary.log-line").count() == 1
    row.click()
    page.clock.run_for(2100)
    page.locator("summary.log-line").nth(1).wait_for()
    page.goto("/portal/activity?show=refused")
    assert page.locator("summary.log-line").count() == 1
    page.get_by_role("button", name="Copy as text").click()
    page.get_by_role("button", name="Copied").wait_for()
    wait_for_clipboard(page, "AADSTS7000215")
    page.clock.resume()


def _check_tokens_and_sample_api(page: Page, samples: Samples) -> None:
    page.goto("/portal/token")
    with page.expect_event("load"):  # the script sends the choice
        page.get_by_label("As", exact=True).select_option(label="Alice Adams")
    assert "user=" in page.url
    assert page.get_by_text("These scopes:").is_visible()
    page.goto(f"/portal/token?client={samples.daemon.client_id}&api={samples.api.client_id}")
    page.get_by_label("Filter conditions").fill("graph")
    assert page.locator("#condition").input_value() == "graph-token"
    page.get_by_label("Filter conditions").fill("")
    page.locator("#condition").select_option("")
    follow(page.get_by_role("button", name="Get token"))
    assert page.get_by_text("An API with this guard would answer 200").is_visible()
    check_width(page)
    page.get_by_role("button", name="Copy Access token").click()
    wait_for_clipboard(page, "^eyJ")
    page.get_by_text("Request", exact=True).first.click()
    assert "grant_type=client_credentials" in page.locator("#token-request").inner_text()
    follow(page.get_by_role("button", name="Call the sample API with it"))
    assert "200 GET /orders of Tasks API" in page.locator(".attempt h3").first.inner_text()
    follow(page.get_by_role("button", name="+1 day"))
    follow(page.get_by_role("button", name="Send the same token again"))
    assert "401 GET" in page.locator(".attempt h3").first.inner_text()
    assert "expired" in page.locator(".attempt").first.inner_text()
    check_width(page)
    follow(page.get_by_role("button", name="Back to normal"))
    assert page.get_by_text("All normal").first.is_visible()
    page.goto("/portal/check")
    follow(page.get_by_role("button", name="An expired one"))
    assert page.get_by_text("401 expired").is_visible()
    check_width(page)


def _check_error_codes(page: Page) -> None:
    page.goto("/portal/errors")
    page.keyboard.press("/")
    page.keyboard.type("7000222")
    assert page.locator("[data-row]:visible").count() == 1
    follow(page.get_by_role("button", name="Cause AADSTS7000222 now"))
    assert page.get_by_text("The next request to the token endpoint gets AADSTS7000222").is_visible()


def test_a_token_of_either_base_url_is_checked_by_the_guard_of_that_url(
    served: tuple[Emulator, Samples],
) -> None:
    entra, samples = served
    with httpx.Client(base_url=entra.url) as web:
        for base in (entra.url, entra.https_url, entra.url.replace("127.0.0.1", "localhost")):
            token = entra.issue_token(samples.daemon, audience=samples.api, base_url=base)
            header = {"Authorization": f"Bearer {token}"}
            assert web.get("/portal/sample-api", headers=header).status_code == 200
        foreign = entra.issue_token(samples.daemon, audience=samples.api, base_url="http://other.localhost")
        refused = web.get("/portal/sample-api", headers={"Authorization": f"Bearer {foreign}"})
        assert refused.json()["reason"] == "wrong_issuer"
        shown = web.get("/portal/connect").text
        assert f"export ENTRA_GUARD_AUTHORITY={entra.https_url}" in shown
        certificate = web.get("/portal/connect/entra-emulator.pem").text
        assert certificate.startswith("-----BEGIN CERTIFICATE-----")
        assert "PRIVATE KEY" not in certificate


def test_the_commands_and_code_to_copy_get_tokens(
    served: tuple[Emulator, Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    entra, samples = served
    entra.clear_faults()
    curl = needs_program("curl")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", samples.secret.value)
    shown = html.unescape(httpx.get(f"{entra.url}/portal/connect").text)
    codes = dict(re.findall(r'<pre[^>]*id="code-(client-\d)">(.*?)</pre>', shown, re.DOTALL))
    command = codes["client-1"].partition("\n\n")[0].replace("curl", f"{curl} -s", 1)
    output = subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout
    names: dict[str, Any] = {}
    exec(compile(codes["client-2"], "our credentials", "exec"), names)
    for token in (json.loads(output)["access_token"], names["token"]):
        response = httpx.get(f"{entra.url}/portal/sample-api", headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 200
    exchange = next(e for e in reversed(entra.request_log.exchanges) if e.flow == "client_credentials")
    repeated = curl_command(exchange).replace("curl", f"{curl} -s", 1)
    monkeypatch.setenv("CLIENT_SECRET", samples.secret.value)
    output = subprocess.run(repeated, shell=True, capture_output=True, text=True, check=True).stdout
    assert "access_token" in json.loads(output)


def test_the_pages_work_without_script(served: tuple[Emulator, Samples], browser: Browser) -> None:
    entra, samples = served
    entra.clear_faults()
    context = browser.new_context(base_url=entra.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/portal/token")
    page.get_by_label("App that requests it").select_option(samples.daemon.client_id)
    follow(page.get_by_role("button", name="Use these"))
    follow(page.get_by_role("button", name="Get token"))
    assert page.get_by_text("An API with this guard would answer").is_visible()
    page.goto("/portal/activity")
    page.locator("summary.log-line").first.click()
    follow(page.get_by_role("link", name="Show this request").first)
    assert page.get_by_role("heading", name="Steps").is_visible()
    context.close()
