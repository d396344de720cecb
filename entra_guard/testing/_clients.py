"""Test clients of several frameworks that send the same headers with every request. Knows no token."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def client_of(app: Any, headers: Mapping[str, str]) -> Any:
    """Make the test client that the application's framework brings; for other WSGI applications, httpx's.

    Args:
        app: The application; None, or one of Django's handlers, for Django.
        headers: Sent with every request.
    """
    frameworks = {kind.__module__.partition(".")[0] for kind in type(app).__mro__}
    if app is None or "django" in frameworks:
        return _of_django(headers)
    if "flask" in frameworks:
        return _of_flask(app, headers)
    if iscoroutinefunction(app) or iscoroutinefunction(type(app).__call__):
        return _of_asgi(app, headers)
    return _of_wsgi(app, headers)


def _of_django(headers: Mapping[str, str]) -> Any:
    from django.test import Client  # noqa: PLC0415

    return Client(headers=dict(headers))


def _of_flask(app: Any, headers: Mapping[str, str]) -> Any:
    client = app.test_client()
    for name, value in headers.items():
        client.environ_base[f"HTTP_{name.upper().replace('-', '_')}"] = value
    return client


def _of_asgi(app: Any, headers: Mapping[str, str]) -> Any:
    from starlette.testclient import TestClient  # noqa: PLC0415

    return TestClient(app, headers=dict(headers))


def _of_wsgi(app: Any, headers: Mapping[str, str]) -> Any:
    import httpx  # noqa: PLC0415

    transport = httpx.WSGITransport(app)
    return httpx.Client(transport=transport, base_url="http://testserver", headers=dict(headers))
