"""Test clients of several frameworks that send the same headers with every request."""

from __future__ import annotations

import warnings
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def create_client(app: Any, headers: Mapping[str, str]) -> Any:
    """Return the framework's own test client; for other WSGI applications, an httpx client.

    Args:
        app: The application; None or a Django handler for Django.
        headers: Headers to send with every request.
    """
    frameworks = {kind.__module__.partition(".")[0] for kind in type(app).__mro__}
    if app is None or "django" in frameworks:
        return _django_client(headers)
    if "flask" in frameworks:
        return _flask_client(app, headers)
    if iscoroutinefunction(app) or iscoroutinefunction(type(app).__call__):
        return _asgi_client(app, headers)
    return _wsgi_client(app, headers)


def _django_client(headers: Mapping[str, str]) -> Any:
    try:
        from django.test import Client  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(
            "without an application the test client is Django's, which is not installed: pass the application"
        ) from error

    return Client(headers=dict(headers))


def _flask_client(app: Any, headers: Mapping[str, str]) -> Any:
    client = app.test_client()
    for name, value in headers.items():
        client.environ_base[f"HTTP_{name.upper().replace('-', '_')}"] = value
    return client


def _asgi_client(app: Any, headers: Mapping[str, str]) -> Any:
    with warnings.catch_warnings():
        # Starlette deprecates httpx in favour of httpx2. Which of them is installed is the user's decision.
        warnings.filterwarnings("ignore", message="Using `httpx` with `starlette.testclient`")
        from starlette.testclient import TestClient  # noqa: PLC0415

    return TestClient(app, headers=dict(headers))


def _wsgi_client(app: Any, headers: Mapping[str, str]) -> Any:
    import httpx  # noqa: PLC0415

    transport = httpx.WSGITransport(app)
    return httpx.Client(transport=transport, base_url="http://testserver", headers=dict(headers))
