"""An Entra for all adapter tests, which change nothing in it, and Django's one settings object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import django
import pytest
from django.conf import settings

from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entra_guard import Guard


def pytest_configure() -> None:
    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF="django_site",
            INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
            SECRET_KEY="for sessions in cookies",
            SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
            REST_FRAMEWORK={
                "DEFAULT_AUTHENTICATION_CLASSES": ["entra_guard.drf.EntraAuthentication"],
                "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
                "EXCEPTION_HANDLER": "entra_guard.drf.exception_handler",
                "UNAUTHENTICATED_USER": None,
            },
        )
        django.setup()


@pytest.fixture(scope="session")
def entra() -> Iterator[Entra]:
    with Entra(seed=7) as made:
        yield made


@pytest.fixture(scope="session")
def guard(entra: Entra) -> Guard:
    return entra.guard()


@pytest.fixture
def bearer(entra: Entra) -> Callable[..., dict[str, str]]:
    """Return a header with a token."""
    return lambda **who: {"Authorization": f"Bearer {entra.token(**who)}"}
