"""Tokens in Redis or Valkey, shared by many processes: encrypted, one entry each, deleted when they end.

If Redis is slow, down or full of foreign data, that costs a log line and never a token. Signing keys are not
stored here: who could write them would control the API.
"""

from __future__ import annotations

import secrets
import time
import weakref
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from entra_guard._common.boundary import public
from entra_guard._common.logs import get_logger
from entra_guard._common.single_flight import SingleFlight, wait
from entra_guard.credentials._cache.encryption import DecryptionError, TokenCipher
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from entra_guard.credentials._cache.token import AccessToken

T = TypeVar("T")

log: Final = get_logger("entra_guard.credentials")

_TIMEOUT: Final = 0.5  # seconds for a response of Redis; a request to Entra takes about as long
_STEP: Final = 1.5  # seconds for one step: socket time-outs do not limit how long a name takes to resolve
_PAUSE: Final = 5.0  # seconds without Redis after it failed
_CHECK_MILLISECONDS: Final = 5000
_NO_EXPIRY: Final = -1  # PTTL of a key that does not expire
_WRONG_TYPE: Final = "WRONGTYPE"
_RELEASE_LOCK: Final = (
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
)
_PLAIN_CONNECTIONS: Final = frozenset({"Connection", "SSLConnection", "UnixDomainSocketConnection"})
_PORTABLE: Final = frozenset(
    {"host", "port", "path", "db", "username", "password", "credential_provider", "client_name", "protocol"}
)


class RedisTokens:
    """Tokens shared by all processes of a program, given to credentials as `shared=`.

    Redis is called on the thread that would call Entra, so that no event loop waits for it and both kinds of
    clients can be given.

    Args:
        client: A `redis.Redis` or `redis.asyncio.Redis` (or Valkey's), which says where Redis is. We open our
            own connections to it, with time-outs of half a second; clients of a cluster or behind a sentinel
            are used as they are, and must not be async.
        keys: Keys that encrypt the tokens, the newest first, each of 32 bytes: `new_key()` makes one. To
            rotate, insert a new one before the old one, and remove the old one a day later.
        prefix: The beginning of each entry's name.

    Raises:
        ConfigurationError: There is no key, an unusable one, or the client cannot be used.

    Example:
        >>> shared = RedisTokens(redis.Redis("cache.internal"), os.environ["TOKENS_KEY"])
        >>> ClientSecretCredential(tenant_id, client_id, client_secret, shared=shared)
    """

    @public
    def __init__(
        self, client: Any, keys: Iterable[str | bytes] | str | bytes, *, prefix: str = "entra_guard"
    ) -> None:
        self._cipher = TokenCipher(keys)
        self._prefix = prefix
        self._connect(client, _location(client))

    def _connect(self, client: Any, location: _Location | None) -> None:
        """Open our own connections to a location, or use the client itself where that is not possible."""
        self._location = location
        self._redis = client if location is None else _new_client(location)
        self._paused_until = float("-inf")
        self._in_flight: SingleFlight[object, Any] = SingleFlight()
        if location is not None:
            weakref.finalize(self, self._redis.close)

    def __repr__(self) -> str:
        return f"<RedisTokens {self._prefix}>"

    def __deepcopy__(self, _memo: dict[int, Any]) -> RedisTokens:
        return self  # it is shared by processes: so it is by copies of a credential

    def __getstate__(self) -> dict[str, Any]:
        if self._location is None:
            raise TypeError("RedisTokens with the client of a cluster or a sentinel cannot be pickled")
        return {"_cipher": self._cipher, "_prefix": self._prefix, "_location": self._location}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._connect(None, self._location)

    def get(self, name: str) -> AccessToken | None:
        """Return the token with a name, if there is one that can be decrypted."""
        entry = self._entry_name(name)
        encrypted = self._call(lambda: self._redis.get(entry), None)
        if not encrypted:
            return None
        try:
            return self._cipher.decrypt(encrypted, entry)
        except DecryptionError as error:
            log.warning("the entry %s in Redis is not ours and is replaced: %s", entry, error)
            return None

    def put(self, name: str, token: AccessToken, seconds: float) -> None:
        """Store a token for a number of seconds."""
        entry, milliseconds = self._entry_name(name), int(seconds * 1000)
        if milliseconds > 0:
            encrypted = self._cipher.encrypt(token, entry)
            self._call(lambda: self._redis.set(entry, encrypted, px=milliseconds), None)

    def acquire_lock(self, name: str, owner: str, seconds: float) -> bool | None:
        """Acquire the lock to request a token, which expires by itself; None if Redis does not respond."""
        lock, milliseconds = self._lock_name(name), int(seconds * 1000)

        def acquire() -> bool | None:
            if self._redis.set(lock, owner, px=milliseconds, nx=True):
                return True
            # Our locks expire: one that does not is not ours, and would never be released.
            return None if self._redis.pttl(lock) == _NO_EXPIRY else False

        return self._call(acquire, None)

    def release_lock(self, name: str, owner: str) -> None:
        """Release the lock, if it is still the owner's."""
        lock = self._lock_name(name)
        self._call(lambda: self._redis.eval(_RELEASE_LOCK, 1, lock, owner), None)

    def check(self) -> None:
        """Write, read and delete an entry now, for a health check.

        Raises:
            Exception: Redis cannot be used: an error of redis or valkey, a TimeoutError, or a RuntimeError.
        """
        owner = secrets.token_hex(8)
        entry, lock = self._entry_name(f"check-{owner}"), self._lock_name(f"check-{owner}")

        def run() -> None:
            self._redis.set(entry, owner, px=_CHECK_MILLISECONDS)
            if self._redis.get(entry) not in (owner, owner.encode()):
                raise RuntimeError("another value was read than written: is this a replica, or a cluster?")
            self._redis.set(lock, owner, px=_CHECK_MILLISECONDS)
            self._redis.pttl(lock)
            self._redis.eval(_RELEASE_LOCK, 1, lock, owner)
            self._redis.delete(entry)

        wait(self._in_flight.start(object(), run), _STEP)

    def _entry_name(self, name: str) -> str:
        return f"{self._prefix}:token:{name}"

    def _lock_name(self, name: str) -> str:
        return f"{self._prefix}:lock:{name}"

    def _call(self, step: Callable[[], T], otherwise: T) -> T:
        """Call Redis; where that fails, log it once and do not call it for a while."""
        if time.monotonic() < self._paused_until:
            return otherwise
        try:
            future: Future[T] = self._in_flight.start(object(), step)
            return wait(future, _STEP)
        except Exception as error:  # noqa: BLE001  # of redis, valkey, ssl, sockets: all mean the same here
            if _WRONG_TYPE in str(error):
                log.warning("an entry in Redis has another type than ours and is replaced: %.200s", error)
                return otherwise
            self._paused_until = time.monotonic() + _PAUSE
            log.warning(
                "Redis cannot be used; tokens are requested without it: %s: %.200s",
                type(error).__name__,
                error,
            )
            return otherwise


class _Location(NamedTuple):
    """Where a plain Redis is, and how to reach it. No repr shows the password."""

    library: str
    connection: str
    settings: dict[str, Any]

    def __repr__(self) -> str:
        return f"<{self.library} {self.connection}>"


def _location(client: Any) -> _Location | None:
    """Return where a client's Redis is; None if the client must be used itself (a cluster, a sentinel).

    Raises:
        ConfigurationError: It is not a client, or an async one of a cluster or sentinel.
    """
    if not callable(getattr(client, "get", None)) or not callable(getattr(client, "eval", None)):
        raise ConfigurationError(
            f"client must be a client of redis-py or valkey-py, got {type(client).__name__}"
        )
    library, _, rest = type(client).__module__.partition(".")
    pool = getattr(client, "connection_pool", None)
    kind = getattr(getattr(pool, "connection_class", None), "__name__", "")
    if kind in _PLAIN_CONNECTIONS and library in {"redis", "valkey"}:
        settings: dict[str, Any] = pool.connection_kwargs  # type: ignore[union-attr]
        portable = {
            name: value for name, value in settings.items() if name in _PORTABLE or name.startswith("ssl_")
        }
        return _Location(library, kind, portable)
    if rest.startswith("asyncio"):
        raise ConfigurationError("for a cluster or a sentinel, give the client that is not async")
    return None


def _new_client(location: _Location) -> Any:
    """Build a client that waits no longer than we can, and does not retry."""
    library = location.library
    module, connection = import_module(library), import_module(f"{library}.connection")
    once = import_module(f"{library}.retry").Retry(import_module(f"{library}.backoff").NoBackoff(), 0)
    pool = connection.ConnectionPool(
        connection_class=getattr(connection, location.connection),
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        retry=once,
        **location.settings,
    )
    client_class = module.Redis if library == "redis" else module.Valkey
    return client_class(connection_pool=pool)
