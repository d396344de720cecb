"""Check the Redis with shared tokens: write, read and delete an entry."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from entra_guard.cli.doctor._facts import RedisFacts
from entra_guard.credentials import RedisTokens, new_key
from entra_guard.credentials._azure import adapted
from entra_guard.credentials._chain import members_of
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


def probe_redis(where: str, environ: Mapping[str, str]) -> RedisFacts:
    """Write, read and delete an entry in Redis, as shared tokens need it.

    Args:
        where: A URL without a password, or the name of the variable that holds the URL.
        environ: The variables.

    Raises:
        ConfigurationError: A package is missing, the variable is not set, or a password is in the argument.
    """
    is_url = "://" in where
    url = where if is_url else environ.get(where, "")
    if not url:
        raise ConfigurationError(f"--redis {where}: this variable is not set. Set it to the URL of the Redis")
    shown = _shown_url(url)
    if is_url and shown != url:
        raise ConfigurationError(
            "--redis: other users of this host can read a password on the command line. Put the URL into a "
            "variable and give its name: --redis REDIS_URL"
        )
    try:
        import redis  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError("--redis needs the package redis: pip install redis") from None
    shown = shown if is_url else f"{shown} ({where})"
    try:
        tokens = RedisTokens(_redis_client(redis, url), new_key(), prefix="entra_guard:doctor")
    except Exception as error:  # noqa: BLE001  # whatever the URL contains
        return RedisFacts(shown, f"{type(error).__name__}: {_without(url, str(error))}")
    return _checked(tokens, shown, url)


def probe_shared_redis(credential: Any) -> RedisFacts | None:
    """Check the Redis that a credential shares its tokens by; None if it shares none."""
    if credential is None or isinstance(credential, Exception):
        return None
    for each in members_of(adapted(credential)):
        shared = getattr(each, "_shared", None)
        store = getattr(shared, "_store", None)
        if isinstance(store, RedisTokens):
            return _checked(store, repr(store).strip("<>"), "")
    return None


def _checked(tokens: RedisTokens, where: str, url: str) -> RedisFacts:
    started = time.monotonic()
    try:
        tokens.check()
    except Exception as error:  # noqa: BLE001  # of redis, ssl, sockets; its text may repeat the password
        kind = type(error).__name__
        return RedisFacts(where, f"{kind}: {_without(url, str(error))}" if str(error) else kind)
    return RedisFacts(where, seconds=time.monotonic() - started)


def _redis_client(library: Any, url: str) -> Any:
    return library.Redis.from_url(url)


def _shown_url(url: str) -> str:
    """Return a URL without user name, password and query."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('?')[0]}"


def _without(url: str, text: str) -> str:
    try:
        password = urlsplit(url).password or ""
    except ValueError:
        return "the URL is malformed"
    for secret in filter(None, (url, unquote(password), password)):
        text = text.replace(secret, "(secret)")
    return text
