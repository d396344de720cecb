"""Tokens in Redis or Valkey, for programs of many processes: sealed, one entry each, gone when they end.

Redis being slow, down or full of nonsense costs a log line and never a token. Signing keys are never kept
here: whoever could write them would own the API.
"""

from __future__ import annotations

import time
import weakref
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

from entra_guard._common.logs import get_logger
from entra_guard._common.single_flight import SingleFlight, wait
from entra_guard.credentials._cache.encryption import NotSealedByUsError, TokenCipher
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from entra_guard.credentials._cache.token import AccessToken

T = TypeVar("T")

log: Final = get_logger("entra_guard.credentials")

_TIMEOUT: Final = 0.5
"""Seconds for Redis to answer: asking Entra instead takes about as long."""
_STEP: Final = 1.5
"""Seconds for all of one step: time-outs of sockets do not bound how long a name takes to resolve."""
_LET_ALONE: Final = 5.0
"""Seconds without Redis after it failed."""
_WITHOUT_END: Final = -1
"""What PTTL says of a key that does not expire."""
_WRONG_TYPE: Final = "WRONGTYPE"
_RELEASE: Final = (
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
)
_PLAIN_CONNECTIONS: Final = frozenset({"Connection", "SSLConnection", "UnixDomainSocketConnection"})
_PORTABLE: Final = frozenset(
    {"host", "port", "path", "db", "username", "password", "credential_provider", "client_name", "protocol"}
)


class RedisTokens:
    """A second level for the tokens of all processes of a program, given to credentials as `shared=`.

    What is asked of Redis is asked on the thread that would ask Entra, so that no event loop waits for it
    and either kind of client will do.

    Args:
        client: A `redis.Redis` or `redis.asyncio.Redis` (or Valkey's), which tells where Redis is. We make
            connections of our own to it, with time-outs of half a second; clients of a cluster or behind a
            sentinel are used as they are and must be of the plain kind.
        keys: Keys that seal the tokens, the newest first, each of 32 bytes: `new_key()` makes one. To rotate,
            put a new one before the old one, and take the old one out a day later.
        prefix: Begins the name of each entry.

    Raises:
        ConfigurationError: No key, a bad one, or a client that cannot be used.

    Example:
        >>> shared = RedisTokens(redis.Redis("cache.internal"), os.environ["TOKENS_KEY"])  # doctest: +SKIP
        >>> ClientSecretCredential(tenant_id, client_id, client_secret, shared=shared)  # doctest: +SKIP
    """

    def __init__(
        self, client: Any, keys: Iterable[str | bytes] | str | bytes, *, prefix: str = "entra_guard"
    ) -> None:
        self._seal = TokenCipher(keys)
        self._prefix = prefix
        self._redis = _own_connections(client)
        self._alone_until = float("-inf")
        self._work: SingleFlight[object, Any] = SingleFlight()
        if self._redis is not client:
            weakref.finalize(self, self._redis.close)

    def __repr__(self) -> str:
        return f"<RedisTokens {self._prefix}>"

    def find(self, name: str) -> AccessToken | None:
        """The token kept under a name, if there is one that can be opened."""
        entry = self._entry(name)
        sealed = self._trying(lambda: self._redis.get(entry), None)
        if not sealed:
            return None
        try:
            return self._seal.open(sealed, entry)
        except NotSealedByUsError as error:
            log.warning("the entry %s in Redis is not one of ours and is replaced: %s", entry, error)
            return None

    def keep(self, name: str, token: AccessToken, seconds: float) -> None:
        """Keep a token for so many seconds."""
        entry, milliseconds = self._entry(name), int(seconds * 1000)
        if milliseconds > 0:
            sealed = self._seal.close(token, entry)
            self._trying(lambda: self._redis.set(entry, sealed, px=milliseconds), None)

    def claim(self, name: str, who: str, seconds: float) -> bool | None:
        """Take the turn to ask, which ends by itself; None if Redis cannot tell."""
        turn, milliseconds = self._turn(name), int(seconds * 1000)

        def take() -> bool | None:
            if self._redis.set(turn, who, px=milliseconds, nx=True):
                return True
            never_ends = self._redis.pttl(turn) == _WITHOUT_END
            return None if never_ends else False  # ours end: this one is a stranger's, and would be for ever

        return self._trying(take, None)

    def release(self, name: str, who: str) -> None:
        """Give the turn back, if it is still one's own."""
        turn = self._turn(name)
        self._trying(lambda: self._redis.eval(_RELEASE, 1, turn, who), None)

    def _entry(self, name: str) -> str:
        return f"{self._prefix}:token:{name}"

    def _turn(self, name: str) -> str:
        return f"{self._prefix}:turn:{name}"

    def _trying(self, work: Callable[[], T], otherwise: T) -> T:
        """Ask Redis for something; where that fails, say so once and leave it alone for a while."""
        if time.monotonic() < self._alone_until:
            return otherwise
        try:
            step: Future[T] = self._work.start(object(), work)
            return wait(step, _STEP)
        except Exception as error:  # noqa: BLE001  # of redis, valkey, ssl, sockets: all mean the same here
            if _WRONG_TYPE in str(error):
                log.warning("an entry in Redis is of another kind than ours and is replaced: %.200s", error)
                return otherwise
            self._alone_until = time.monotonic() + _LET_ALONE
            log.warning(
                "Redis cannot be used, tokens are asked for without it: %s: %.200s",
                type(error).__name__,
                error,
            )
            return otherwise


def _own_connections(client: Any) -> Any:
    """A plain client to the same Redis that waits no longer than we can; or the client itself.

    Raises:
        ConfigurationError: It is no client, or an async one whose place cannot be told.
    """
    if not callable(getattr(client, "get", None)) or not callable(getattr(client, "eval", None)):
        raise ConfigurationError("client must be a client of redis-py or valkey-py")
    library, _, rest = type(client).__module__.partition(".")
    pool = getattr(client, "connection_pool", None)
    kind = getattr(getattr(pool, "connection_class", None), "__name__", "")
    if kind in _PLAIN_CONNECTIONS and library in {"redis", "valkey"}:
        return _twin(library, kind, pool.connection_kwargs)  # type: ignore[union-attr]
    if rest.startswith("asyncio"):
        raise ConfigurationError(
            "behind a cluster or a sentinel, give the plain client and not the async one"
        )
    return client


def _twin(library: str, kind: str, settings: dict[str, Any]) -> Any:
    portable = {
        name: value for name, value in settings.items() if name in _PORTABLE or name.startswith("ssl_")
    }
    module, connection = import_module(library), import_module(f"{library}.connection")
    once = import_module(f"{library}.retry").Retry(import_module(f"{library}.backoff").NoBackoff(), 0)
    pool = connection.ConnectionPool(
        connection_class=getattr(connection, kind),
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        retry=once,
        **portable,
    )
    client_class = module.Redis if library == "redis" else module.Valkey
    return client_class(connection_pool=pool)
