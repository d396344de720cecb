"""The portal in a real browser: the guide clicked through, with the keyboard, without script; size, width, axe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from browsing import chromium, follow, wait_for_clipboard, wait_for_focus
from browsing import served as served_app
from needed_parts import needs_module
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from entra_guard.emulator import GRAPH, Emulator
from entra_guard.emulator._directory.rules import check_redirect_uri
from entra_guard.emulator._http.messages import is_loopback
from entra_guard.emulator._oauth.redirects import platform_of
from entra_guard.emulator._portal.portal import PAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page
    from starlette.requests import Request

    from entra_guard.emulator import AppRegistration

pytestmark = pytest.mark.slow
LONG = "Averylongdisplaynamewithoutanyspaces4040"
NOT_PAGES = {
    "/portal/activity/rows",
    "/portal/activity/text",
    "/portal/sample-api",
}
WIDER_THAN_ITS_BOX = """() => [...document.querySelectorAll("*")]
    .filter(e => e === document.documentElement || e.matches(".table-box") || /auto|scroll/.test(getComputedStyle(e).overflowX))
    .filter(e => e.clientWidth && e.scrollWidth > e.clientWidth)
    .filter(e => !(e.tagName === "PRE" && e.tabIndex === 0) && e.tagName !== "TEXTAREA")
    .map(e => `${e.tagName} ${e.className}: ${e.scrollWidth} > ${e.clientWidth}`)"""
# Further rows of a list have the same markup: without them the check is much faster.
# Contrast is measured on every sixth page: it takes most of the time, and all pages share their colours.
FINDINGS = """async contrast => {
    document.querySelectorAll("[data-row]").forEach((row, number) => { if (number > 2) row.remove(); });
    return (await axe.run({resultTypes: ["violations"], rules: {"color-contrast": {enabled: contrast}}})).violations
    .map(v => `${v.id}: ${v.nodes[0].html}`); }"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    needs_module("axe_playwright_python")
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def served() -> Iterator[Emulator]:
    with Emulator() as emulator:
        emulator.add_samples()
        yield emulator


@pytest.fixture
def entra(served: Emulator) -> Iterator[Emulator]:
    before = served.snapshot()
    yield served
    served.restore(before)


@pytest.fixture
def page(browser: Browser, entra: Emulator) -> Iterator[Page]:
    """A page of the portal that reports errors of its script and requests to other hosts."""
    problems: list[str] = []
    with browser.new_context(base_url=entra.url, viewport={"width": 1280, "height": 800}) as context:
        context.on("weberror", lambda error: problems.append(str(error.error)))
        own = (entra.url, "http://localhost")  # and the client of one test
        context.on("request", lambda r: None if r.url.startswith(own) else problems.append(r.url))
        page = context.new_page()
        yield page
    assert problems == []


def crowd(entra: Emulator) -> list[str]:
    """Fill the directory with 60 users and long names; return the addresses of all pages."""
    for number in range(60):
        entra.add_user(f"p{number}.{LONG}"[:40], display_name=f"P{number}{LONG}"[:40])
    app = entra.register_app(
        LONG,
        app_roles=[f"{LONG}.{number}" for number in range(3)],
        scopes=[LONG],
        redirect_uris=[f"https://{LONG.lower()}.example/{LONG}"],
        permissions={entra.find_app("7a5c0a91-0000-4000-8000-00000000a901"): ["Orders.Read"]},
    )
    entra.add_secret(app, description=LONG)
    entra.add_federated_credential(app, f"https://{LONG}.example", LONG, name=LONG)
    entra.assign(f"p1.{LONG}"[:40], app, f"{LONG}.0")
    group = entra.add_group(LONG, *(f"p{number}.{LONG}"[:40] for number in range(5)))
    paths = {page.path for page in PAGES if page.method == "GET" and "." not in page.path} - NOT_PAGES
    of_app = [p.replace("{app}", app.client_id) for p in sorted(paths) if "{app}" in p]
    fixed = [p for p in sorted(paths) if "{" not in p and p not in {"/portal", "/portal/"}]
    people = [f"/portal/users/{entra.find_user('alice').id}", f"/portal/groups/{group.id}", "/portal/nothing"]
    return [*fixed, *of_app, *people, "/portal/errors/AADSTS50011", *sign_in_pages(entra, app)]


def sign_in_pages(entra: Emulator, app: AppRegistration) -> list[str]:
    tenant = f"/{entra.tenant_id}"
    query = f"client_id={app.client_id}&response_type=code&scope=openid+{app.app_id_uri}/{LONG}"
    return [
        f"{tenant}/oauth2/v2.0/authorize?{query}",
        f"{tenant}/oauth2/v2.0/authorize?{query}&redirect_uri=https://{LONG.lower()}.example/other",
        f"{tenant}/adminconsent?client_id={app.client_id}&redirect_uri={app.redirect_uris[0]}",
        f"{tenant}/oauth2/v2.0/logout?post_logout_redirect_uri=https://x.example/{LONG}",
        "/devicelogin",
    ]


def test_every_page_fits_every_width_in_both_schemes_and_axe_finds_nothing(
    page: Page, entra: Emulator
) -> None:
    import axe_playwright_python

    axe = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
    problems = []
    for number, path in enumerate(crowd(entra)):
        response = page.goto(path)
        assert response is not None
        if len(response.body()) > 60_000:
            problems.append(f"{path}: {len(response.body())} bytes")
        last = 320 if number % 3 else 1280
        # 680 and 1120: the narrowest with rows of a table, and with the sections of an app at the side.
        for width in sorted((320, 390, 680, 900, 1120, 1280), key=last.__eq__):
            page.set_viewport_size({"width": width, "height": 800})
            problems += [f"{path} at {width}: {found}" for found in page.evaluate(WIDER_THAN_ITS_BOX)]
        # Both schemes and both ends of the widths, in turn: every template is checked in one of them.
        page.emulate_media(color_scheme="dark" if number % 12 else "light")
        page.evaluate(axe)
        problems += [f"{path}: {found}" for found in page.evaluate(FINDINGS, number % 6 == 0)]
    assert problems == []


def test_the_guide_leads_from_new_registration_to_a_200(page: Page, entra: Emulator) -> None:
    page.goto("/")
    follow(page.get_by_role("link", name="Register an application"))
    register(page, "Orders API", "API")
    follow(page.get_by_role("link", name="App roles").first)
    page.get_by_role("textbox", name="Value").fill("Orders.Read.All")
    follow(page.get_by_role("button", name="Create app role"))
    follow(page.get_by_role("link", name="App registrations").first)
    follow(page.get_by_role("link", name="New registration"))
    register(page, "Nightly report", "Daemon")
    assert page.get_by_text("Copy the value now. It is not shown again.").is_visible()
    assert page.evaluate("document.activeElement.getAttribute('aria-labelledby')") == "once-title"
    follow(page.get_by_role("link", name="I have it"))
    follow(page.get_by_role("link", name="API permissions").first)
    follow(page.get_by_role("link", name="Add a permission").first)
    follow(page.get_by_role("link", name="Orders API"))
    page.get_by_label("Orders.Read.All").check()
    follow(page.get_by_role("button", name="Add permissions"))
    follow(page.get_by_role("button", name="Grant admin consent for Contoso"))
    assert page.locator(".chip", has_text="Granted for Contoso").is_visible()
    follow(page.get_by_role("link", name="Nightly report"))
    follow(page.get_by_role("link", name="Get a token").last)
    if page.get_by_label("For the API").locator("option:checked").inner_text() != "Orders API":
        with page.expect_event("load"):
            page.get_by_label("For the API").select_option(label="Orders API")
    follow(page.get_by_role("button", name="Get token"))
    follow(page.get_by_role("button", name="Call the sample API with it"))
    assert "200 GET /orders of Orders API" in page.locator(".attempt h3").first.inner_text()
    assert entra.directory.held_by(principal_of(entra, "Nightly report")) == {
        "Orders API": ("Orders.Read.All",)
    }


def register(page: Page, name: str, preset: str) -> None:
    page.get_by_role("textbox", name="Name").fill(name)
    page.get_by_role("radio", name=re.compile(f"^{preset} ")).check()
    follow(page.get_by_role("button", name="Register"))
    assert page.get_by_text(f"{name} is registered.").is_visible()


def principal_of(entra: Emulator, name: str) -> str:
    return next(p.id for p in entra.directory.principals.values() if p.name == name)


FOCUSED = """() => { const e = document.activeElement;
    return [(e.getAttribute("aria-label") || e.labels?.[0]?.childNodes[0].textContent || e.textContent || "").trim(), e.id]; }"""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element of that name or id has the focus."""
    for _ in range(90):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if name in focused:
            return
        if "Skip to the content" in focused:
            page.keyboard.press("Enter")
            wait_for_focus(page, "#content")
    pytest.fail(f"Tab never reaches {name!r} on {page.url}")


def go(page: Page, name: str, key: str = "Enter") -> None:
    tab_to(page, name)
    if key == "Space":
        page.keyboard.press("Space")
        return
    with page.expect_event("load"):
        page.keyboard.press(key)


def test_a_token_of_the_portal_calls_graph(page: Page, entra: Emulator) -> None:
    daemon = next(app for app in entra.directory.apps.values() if app.name == "Tasks daemon")
    page.goto(f"/portal/apps/{daemon.client_id}/permissions/add?api={GRAPH}")
    page.locator("label", has_text="User.Read.All").first.click()
    follow(page.get_by_role("button", name="Add permissions"))
    follow(page.get_by_role("button", name="Grant admin consent for Contoso"))
    page.goto(f"/portal/token?client={daemon.client_id}&api={GRAPH}")
    follow(page.get_by_role("button", name="Get token"))
    token = page.locator("#token-text").text_content()
    users = page.request.get("/v1.0/users", headers={"Authorization": f"Bearer {token}"})
    assert "Alice Adams" in users.text()


def test_a_sign_in_is_posted_to_the_client(page: Page, entra: Emulator) -> None:
    async def callback(request: Request) -> PlainTextResponse:
        form = parse_qs((await request.body()).decode())
        return PlainTextResponse(f"code of {len(form['code'][0])} characters, state {form['state'][0]}")

    with served_app(Starlette(routes=[Route("/cb", callback, methods=["POST"])])) as client:
        there = client.replace("127.0.0.1", "localhost") + "/cb"
        app = entra.register_app("Shop", identifier_uris=(), redirect_uris=[there])
        query = f"client_id={app.client_id}&response_type=code&scope=openid&state=s1&response_mode=form_post"
        page.goto(f"/{entra.tenant_id}/oauth2/v2.0/authorize?{query}")
        page.get_by_role("button", name="Bob Brown").click()
        page.wait_for_url(there)
        assert "state s1" in page.content()


def test_keyboard_alone_registers_consents_and_gets_a_token(page: Page, entra: Emulator) -> None:
    page.goto("/portal/apps/new")
    wait_for_focus(page, "[name=name]")  # the first field
    page.keyboard.type("Report")
    go(page, "Register")
    go(page, "Certificates & secrets")
    go(page, "Add secret")
    go(page, "I have it")
    go(page, "API permissions")
    go(page, "Add a permission")
    go(page, "Tasks API")
    go(page, "role-1", "Space")
    go(page, "Add permissions")
    go(page, "Grant admin consent for Contoso")
    go(page, "Report")
    go(page, "Get a token")
    go(page, "Get token")
    assert page.get_by_text("would answer 200").is_visible()
    go(page, "Check it")
    assert page.get_by_text("Orders.Read").first.is_visible()


def test_pages_work_without_script(browser: Browser, entra: Emulator) -> None:
    with browser.new_context(base_url=entra.url, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto("/portal/apps/new")
        register(page, "Plain", "Daemon")
        assert page.get_by_text("Copy the value now. It is not shown again.").is_visible()
        assert not page.get_by_role("button", name="Copy secret").is_visible()
        page.get_by_text("Certificates (0)").click()
        assert page.get_by_role("button", name="Generate one for me").is_visible()
        page.goto("/portal/apps?q=plain")
        assert page.get_by_role("row").count() == 2
        page.goto("/portal/users?q=nothing")
        assert page.get_by_text("Nothing matches").is_visible()


def test_copy_filter_and_shortcut(page: Page, entra: Emulator) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/portal/apps")
    page.get_by_role("button", name="Copy the client id of Tasks API", exact=True).click()
    wait_for_clipboard(page, "^7a5c0a91-0000-4000-8000-00000000a901$")
    page.keyboard.press("/")
    page.keyboard.type("daemon")
    assert page.locator("tr[data-row]:visible").count() == 1
    page.keyboard.type("zzz")
    assert page.get_by_text("Nothing matches “daemonzzz”").is_visible()
    page.get_by_role("link", name="Clear").click()
    assert page.locator("tr[data-row]:visible").count() == 4


SPELLINGS = [
    *("http://localhost/cb", "http://LOCALHOST/cb", "http://127.0.0.1:5000/cb", "http://localhost:3000/cb"),
    *("http://evil.example\\@localhost/cb", "http://localhost\\.evil.example/cb", "http://user@localhost/cb"),
    *(
        "http://localhost:80@evil.example/cb",
        "http:localhost/cb",
        "http:/localhost/cb",
        "http:///localhost/cb",
    ),
    *(
        "http:\\\\localhost/cb",
        "http://loc\talhost/cb",
        "http://evil.example\t@localhost/cb",
        " http://localhost/cb",
    ),
    *(
        "http://localhost%2eevil.example/cb",
        "http://localhost%00/cb",
        "http://localhost\u3002evil.example/cb",
    ),
    *(
        "http://\uff4cocalhost/cb",
        "http://localhost\u00ad/cb",
        "http://localhost:99999/cb",
        "http://localhost:/cb",
    ),
    *("http://127.1/cb", "http://2130706433/cb", "http://0x7f.0.0.1/cb", "http://127.0.0.1.evil.example/cb"),
    *(
        "http://localhost#@evil.example/cb",
        "http://localhost?@evil.example/cb",
        "//localhost/cb",
        "javascript://localhost/cb",
    ),
    *(
        "http://[::1]@evil.example/cb",
        "http://evil.example#localhost/cb",
        "ht\ntp://localhost/cb",
        "http://localhost/../cb",
    ),
]


def may_be_registered(uri: str) -> bool:
    try:
        check_redirect_uri(uri, "web")
    except ValueError:
        return False
    return True


def test_what_matches_localhost_is_localhost_for_the_browser(page: Page, entra: Emulator) -> None:
    page.goto("/devicelogin")
    app = entra.register_app(
        "Local", identifier_uris=(), redirect_uris=["http://localhost/cb", "http://127.0.0.1/cb"]
    )
    script = "t => { try { const u = new URL(t); return [u.protocol, u.hostname]; } catch { return null; } }"
    for spelling in SPELLINGS:
        read: Any = page.evaluate(script, spelling)
        if may_be_registered(spelling):
            assert read in (["http:", "localhost"], ["http:", "127.0.0.1"]), spelling
        if platform_of(app, spelling):
            assert read in (["http:", "localhost"], ["http:", "127.0.0.1"]), spelling
        host = spelling.partition("//")[2].partition("/")[0]
        if is_loopback(host):
            seen = page.evaluate(script, f"http://{host}/")
            assert seen is not None, spelling
            assert seen[1] in {"localhost", "127.0.0.1", "[::1]"}, spelling
    assert platform_of(app, SPELLINGS[0])


def test_another_page_on_this_machine_cannot_send_a_form(
    page: Page, browser: Browser, entra: Emulator
) -> None:
    form = f"""<form method="post" action="{entra.url}/portal/apps/new"><input name="name" value="Forged">
        <input name="form_token" value="{entra.store.form_token}"></form>"""
    with browser.new_context() as context:
        other = context.new_page()
        other.goto(entra.url.replace("127.0.0.1", "localhost") + "/devicelogin")
        other.set_content(form)
        with other.expect_event("load"):
            other.evaluate("document.forms[0].submit()")
        assert other.get_by_text("did not come from an open page").is_visible()
    assert all(app.name != "Forged" for app in entra.directory.apps.values())
