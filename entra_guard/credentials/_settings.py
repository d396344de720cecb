"""The settings of an application's credential, and how each is checked. Pure."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Collection
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.audiences import IS_IT_SET, QUOTES
from entra_guard.credentials._cache.token_cache import CacheOptions
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import httpx

    from entra_guard.credentials._cache.shared_token_cache import TokenStore


class Settings(CacheOptions, total=False):
    """Keyword arguments of every credential of an application.

    Attributes:
        authority: A cloud ('public', 'us-government', 'china', ...) or the URL of an authority.
        http_client: Any `httpx.Client`: a private CA, a proxy or a test transport is one argument.
        ssl_context: For the client that the credential makes itself.
        proxy: URL of a proxy, for the client that the credential makes itself.
        capabilities: What the app can do; 'cp1' says that it satisfies claims challenges (Microsoft:
            "Claims challenges and client capabilities"). Give () if something else uses the tokens.
        shared: Tokens shared by many processes, see `RedisTokens`.
        cache_size: The largest number of cached tokens.
        wait: The most seconds that a caller waits for a new token; 30 by default.
        clock: Returns seconds since the epoch.
        monotonic: Returns seconds that only increase.
    """

    authority: str
    http_client: httpx.Client | None
    ssl_context: ssl.SSLContext | None
    proxy: str | None
    capabilities: Iterable[str]
    shared: TokenStore | None


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check names and types of settings: a misspelt 'authority' would send the secret to the public cloud.

    Raises:
        ConfigurationError: It names the setting, and never repeats a value.
    """
    for name, value in settings.items():
        if name not in _KINDS:
            near = get_close_matches(name, _KINDS, 1)
            meant = f": did you mean {near[0]!r}?" if near else f"; known are {', '.join(_KINDS)}"
            raise ConfigurationError(f"there is no setting {name!r}{meant}")
        is_right, words = _KINDS[name]
        if not is_right(value):
            raise ConfigurationError(f"{name} must be {words}, got {type(value).__name__}")


def wrong_value(value: object) -> str:
    """Return the end of an error text for a wrong value: of what kind it is. Quote no text."""
    if value is None or value == "":
        return f", got {value!r}. {IS_IT_SET}"
    if not isinstance(value, str):
        return f", got {type(value).__name__}"
    if value[0] in QUOTES or value[-1] in QUOTES:
        return ", got one in quotes (docker --env-file keeps them): remove them"
    return ", got one with white space around it: remove it" if value != value.strip() else ""


def listed(value: object) -> list[object]:
    """Return one value, or several in a list or tuple, as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def is_client(value: object) -> bool:
    """Return whether a value sends requests as an `httpx.Client` does, not an AsyncClient."""
    send = getattr(value, "send", None)
    known = callable(send) and callable(getattr(value, "build_request", None))
    return known and not inspect.iscoroutinefunction(send)


def _is_store(value: object) -> bool:
    return all(
        callable(getattr(value, name, None)) for name in ("get", "put", "acquire_lock", "release_lock")
    )


def _are_strings(value: object) -> bool:
    return isinstance(value, Collection) and all(isinstance(each, str) and each for each in value)  # pyright: ignore[reportUnknownVariableType]


def _or_none(is_right: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or is_right(value)


def _is_string(value: object) -> bool:
    return isinstance(value, str)


_KINDS: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "authority": (_is_string, "a cloud's name or an authority's URL"),
    "http_client": (
        _or_none(is_client),
        "an httpx.Client, not an AsyncClient, for both get_token and aget_token",
    ),
    "ssl_context": (_or_none(lambda value: isinstance(value, ssl.SSLContext)), "an ssl.SSLContext"),
    "proxy": (_or_none(_is_string), "a URL such as 'http://proxy.example:8080'"),
    "capabilities": (_are_strings, "names such as 'cp1'"),
    "shared": (_or_none(_is_store), "a RedisTokens"),
    "cache_size": (lambda value: isinstance(value, int), "a number of tokens"),
    "wait": (lambda value: isinstance(value, int | float), "a number of seconds"),
    "clock": (callable, "a function that returns seconds"),
    "monotonic": (callable, "a function that returns seconds"),
}

# The names of the settings in `Settings`.
SETTING_NAMES: Final = tuple(_KINDS)
