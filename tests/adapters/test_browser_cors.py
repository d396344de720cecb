"""What a page on another origin can read of a refusal, in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from browsing import chromium, served
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from entra_guard.asgi import GuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from entra_guard import Guard
    from entra_guard.testing import Entra

FETCH = """async ([url, token]) => {
    try {
        const response = await fetch(url, token ? {headers: {Authorization: `Bearer ${token}`}} : {});
        return [response.status, response.headers.get("WWW-Authenticate"), await response.json()];
    } catch (error) {
        return [0, String(error), null];
    }
}"""


def api(guard: Guard, origin: str, *, cors_first: bool) -> Starlette:
    cors = Middleware(
        CORSMiddleware,
        allow_origins=[origin],
        allow_headers=["Authorization"],
        expose_headers=["WWW-Authenticate"],
    )
    guarded = Middleware(GuardMiddleware, guard=guard)
    return Starlette(
        routes=[Route("/orders", lambda request: JSONResponse(request.user.app_id))],
        middleware=[cors, guarded] if cors_first else [guarded, cors],
    )


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    empty = Starlette(routes=[Route("/", lambda _request: HTMLResponse("<title>A page</title>"))])
    with chromium() as browser, served(empty) as url:
        page = browser.new_page()
        page.goto(url)
        yield page


def origin_of(page: Page) -> str:
    return page.url.rstrip("/")


def test_a_page_reads_status_challenge_and_reason(page: Page, guard: Guard, entra: Entra) -> None:
    with served(api(guard, origin_of(page), cors_first=True)) as url:

        def fetch(token: str = "") -> Any:
            return page.evaluate(FETCH, [f"{url}/orders", token])

        assert fetch(entra.token()) == [200, None, entra.caller.client_id]
        status, challenge, problem = fetch(entra.token(preset="expired"))
        assert (status, problem["reason"]) == (401, "expired")
        assert challenge == 'Bearer error="invalid_token", error_description="The token has expired."'
        assert fetch()[:2] == [401, "Bearer"]


def test_in_the_wrong_order_a_page_sees_only_a_network_error(page: Page, guard: Guard, entra: Entra) -> None:
    with served(api(guard, origin_of(page), cors_first=False)) as url:
        status, error, _ = page.evaluate(FETCH, [f"{url}/orders", entra.token(preset="expired")])
        assert (status, error) == (0, "TypeError: Failed to fetch")
        assert page.evaluate(FETCH, [f"{url}/orders", entra.token()])[0] == 200
