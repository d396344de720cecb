"""With `Guard(reasons_url=...)` each refusal's log line links to the section of its reason."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from adapter_cases import ADAPTERS
from django.test import override_settings
from raw_requests import request_asgi

from entra_guard import ConfigurationError, Guard
from entra_guard.asgi import GuardMiddleware
from entra_guard.errors import refusal

if TYPE_CHECKING:
    from entra_guard.testing import Entra

PAGE = "https://wiki.example/reasons"


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_adapter_links_refusals_of_tokens_and_of_permissions(
    name: str, entra: Entra, caplog: pytest.LogCaptureFixture
) -> None:
    guard = entra.guard(reasons_url=PAGE)
    case = ADAPTERS[name](guard)
    token = f"Bearer {entra.token(roles=['Orders.Read'])}".encode()
    expired = f"Bearer {entra.token(preset='expired')}".encode()
    with override_settings(ENTRA_GUARD={"guard": guard}), caplog.at_level(logging.INFO, "entra_guard"):
        for path, values in (("/orders", []), ("/orders", [expired]), ("/admin", [token])):
            case(path, values)
    lines = [record.getMessage() for record in caplog.records if ": " in record.getMessage()]
    handles_itself = {"litestar", "quart", "falcon asgi", "falcon wsgi"}  # their handlers do not log
    for reason in ("missing_token", "expired", *(() if name in handles_itself else ("missing_role",))):
        assert [line for line in lines if line.endswith(f"See {PAGE}#{reason}")], (reason, lines)


def test_without_the_setting_there_is_no_link(entra: Entra, caplog: pytest.LogCaptureFixture) -> None:
    ADAPTERS["asgi"](entra.guard())("/orders", [b"Bearer a.b.c"])
    assert "See http" not in caplog.text


def test_a_refusal_that_an_asgi_application_raises_itself_has_the_link(
    entra: Entra, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(_scope: object, _receive: object, _send: object) -> None:
        raise refusal("missing_role")

    guarded = GuardMiddleware(app, guard=entra.guard(reasons_url=PAGE))
    assert request_asgi(guarded, "/", [b"Bearer " + entra.token().encode()]).status == 403
    assert f"See {PAGE}#missing_role" in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "wiki",
        "javascript:1",
        "https://wiki.example/#",
        None,
        "https://wiki.example/\n401",
        "https://a:b@wiki/",
        "https://wiki.example/a b",
        "https://wiki.example/\x1b[2J",
        "https://",
    ],
)
def test_a_page_that_is_not_a_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="reasons_url"):
        Guard(tenant="contoso.com", audience="api://orders", reasons_url=url)


def test_combined_guards_and_the_environment_have_it_too(entra: Entra) -> None:
    assert (entra.guard() | entra.guard(reasons_url=PAGE)).reasons_url == PAGE
    environ = {"ENTRA_GUARD_TENANT": "contoso.com", "ENTRA_GUARD_AUDIENCE": "api://orders"}
    assert Guard.from_env({**environ, "ENTRA_GUARD_REASONS_URL": PAGE}).reasons_url == PAGE
