"""Swagger UI's Authorize button logs in, by authorization code with PKCE, and then calls the route.

The page is FastAPI's own, in a real browser. The application serves swagger-ui's files itself, from a Python
package that holds them, so no request of the browser is intercepted: Playwright responds to CORS preflights
itself once it intercepts anything, and that hid a fault.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from browsing import chromium, served
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from needed_parts import needs_module

from entra_guard import Guard, current_principal
from entra_guard.asgi import GuardMiddleware
from entra_guard.emulator import Emulator
from entra_guard.fastapi import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import Request
    from fastapi.responses import HTMLResponse
    from playwright.sync_api import Browser, Page

    from entra_guard.emulator import AppRegistration

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi_app.py"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    needs_module("flask_swagger_ui")
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    hosts: set[str | None] = set()
    with browser.new_context() as context:
        context.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page = context.new_page()
        yield page
    assert hosts <= {"localhost", "127.0.0.1", None}


def with_own_files(app: FastAPI) -> FastAPI:
    """Let the page /docs load swagger-ui from the application, not from a content delivery network."""
    import flask_swagger_ui

    app.router.routes = [route for route in app.router.routes if getattr(route, "path", "") != "/docs"]
    files = StaticFiles(directory=Path(flask_swagger_ui.__file__).parent / "dist")
    app.mount("/docs/files", files)

    def docs(_request: Request) -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=app.openapi_url or "",
            title=app.title,
            oauth2_redirect_url=app.swagger_ui_oauth2_redirect_url,
            init_oauth=app.swagger_ui_init_oauth,
            swagger_ui_parameters=app.swagger_ui_parameters,
            swagger_js_url="/docs/files/swagger-ui-bundle.js",
            swagger_css_url="/docs/files/swagger-ui.css",
            swagger_favicon_url="/docs/files/favicon-32x32.png",
        )

    # As FastAPI does: without the application's dependencies.
    app.add_route("/docs", docs, include_in_schema=False)
    return app


@pytest.fixture
def entra() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def api(entra: Emulator) -> AppRegistration:
    return entra.register_app("Orders", scopes=["Orders.Read"])


def log_in(page: Page, docs: str, person: str) -> None:
    """Click through Swagger UI's dialogue and the account picker, as a person does."""
    page.goto(docs)
    page.get_by_role("button", name="Authorize").first.click()
    dialogue = page.locator(".modal-ux")
    with page.expect_popup() as popup:
        dialogue.get_by_role("button", name="Apply given OAuth2 credentials").click()
    popup.value.get_by_role("button", name=person).click()
    popup.value.get_by_role("button", name="Accept").click()
    dialogue.get_by_text("Logout").wait_for()
    dialogue.get_by_text("Close", exact=True).click()


def call(page: Page, path: str) -> tuple[str, str]:
    """Try a route out, and return the response that the page shows."""
    operation = page.locator(".opblock", has_text=path)
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    table = operation.locator(".live-responses-table")
    table.wait_for()
    return table.locator("tbody td.response-col_status").inner_text().split()[0], table.locator(
        "code"
    ).first.inner_text()


def spa(entra: Emulator, url: str) -> AppRegistration:
    return entra.register_app(
        "Swagger UI", identifier_uris=(), spa_redirect_uris=[f"{url}/docs/oauth2-redirect"], client_id=DOCS
    )


DOCS = "d0c50000-0000-4000-8000-000000000001"


def at_localhost(url: str) -> str:
    """The name under which Entra lets a page on this machine be registered without https."""
    return url.replace("127.0.0.1", "localhost")


def test_with_the_dependency(
    page: Page, entra: Emulator, api: AppRegistration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRA_GUARD_TENANT", entra.tenant_id)
    monkeypatch.setenv("ENTRA_GUARD_AUDIENCE", api.client_id)
    monkeypatch.setenv("ENTRA_GUARD_AUTHORITY", entra.url)
    monkeypatch.setenv("DOCS_CLIENT_ID", DOCS)
    with served(with_own_files(runpy.run_path(str(EXAMPLE))["app"])) as url:
        spa(entra, at_localhost(url))
        log_in(page, f"{at_localhost(url)}/docs", "Alice Adams")
        status, body = call(page, "/orders")
    assert status == "200"
    assert '"for": "Alice Adams"' in body


def test_with_the_middleware_alone(page: Page, entra: Emulator, api: AppRegistration) -> None:
    guard = Guard(tenant=entra.tenant_id, audience=api.client_id, authority=entra.url)
    public = ["/docs", "/docs/*", "/openapi.json"]
    app = FastAPI()
    app.add_middleware(GuardMiddleware, guard=guard, public=public)
    document(app, guard, client_id=DOCS, scopes=["Orders.Read"], public=public)

    @app.get("/whoami")
    def whoami() -> Any:
        return {"name": current_principal().display_name, "scopes": current_principal().scopes}

    with served(with_own_files(app)) as url:
        spa(entra, at_localhost(url))
        page.goto(f"{at_localhost(url)}/docs")
        assert call(page, "/whoami")[0] == "401"
        log_in(page, f"{at_localhost(url)}/docs", "Bob Brown")
        status, body = call(page, "/whoami")
    assert status == "200"
    assert '"name": "Bob Brown"' in body
    assert '"Orders.Read"' in body
