"""What credentials of an application can be given by name, and what each of it must be. Pure."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from entra_guard.credentials._cache.token_cache import CacheOptions
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from entra_guard.credentials._cache.shared_token_cache import Store


class Settings(CacheOptions, total=False):
    """What every credential of an application can be given by name.

    Attributes:
        authority: A cloud ('public', 'us-government', 'china', ...) or the URL of an authority.
        http_client: Any `httpx.Client`: a private CA, a proxy or a test transport is one argument.
        ssl_context: For the client that the credential makes itself.
        proxy: URL of a proxy, for the client that the credential makes itself.
        capabilities: What the app can do; 'cp1' says that it answers claims challenges (Microsoft:
            "Claims challenges and client capabilities"). Give () if something else uses the tokens.
        shared: Tokens kept for many processes, see `RedisTokens`.
        cache_size: The most tokens to keep.
        clock: Seconds since the epoch.
        monotonic: Seconds that only go forward.
    """

    authority: str
    http_client: httpx.Client | None
    ssl_context: ssl.SSLContext | None
    proxy: str | None
    capabilities: Iterable[str]
    shared: Store | None


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse what no credential knows, and what is of another kind than it must be.

    A misspelt 'authority' would send the secret to the public cloud.

    Raises:
        ConfigurationError: It names the setting, and never repeats a value.
    """
    for name, value in settings.items():
        if name not in _KINDS:
            near = get_close_matches(name, _KINDS, 1)
            meant = f": did you mean {near[0]!r}?" if near else f"; there are {', '.join(_KINDS)}"
            raise ConfigurationError(f"there is no setting {name!r}{meant}")
        is_right, words = _KINDS[name]
        if not is_right(value):
            raise ConfigurationError(f"{name} must be {words}, and not of type {type(value).__name__}")


def is_client(value: object) -> bool:
    """Whether something sends requests as a plain `httpx.Client` does."""
    send = getattr(value, "send", None)
    known = callable(send) and callable(getattr(value, "build_request", None))
    return known and not inspect.iscoroutinefunction(send)


def _is_store(value: object) -> bool:
    return all(callable(getattr(value, name, None)) for name in ("find", "keep", "claim", "release"))


def _are_words(value: object) -> bool:
    return isinstance(value, Iterable) and all(isinstance(word, str) and word for word in value)  # pyright: ignore[reportUnknownVariableType]


def _or_none(is_right: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or is_right(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_KINDS: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "authority": (_is_text, "a cloud's name or an authority's URL"),
    "http_client": (_or_none(is_client), "an httpx.Client (a plain one, for both worlds)"),
    "ssl_context": (_or_none(lambda value: isinstance(value, ssl.SSLContext)), "an ssl.SSLContext"),
    "proxy": (_or_none(_is_text), "a URL such as 'http://proxy.example:8080'"),
    "capabilities": (_are_words, "names such as 'cp1'"),
    "shared": (_or_none(_is_store), "a RedisTokens"),
    "cache_size": (lambda value: isinstance(value, int), "a number of tokens"),
    "clock": (callable, "a function that tells seconds"),
    "monotonic": (callable, "a function that tells seconds"),
}
