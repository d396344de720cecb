"""An HTTP client that is warmed up early and rebuilt where it must not be used any longer."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from entra_guard._common.fork_lock import FORK_LOCK
from entra_guard._common.trust import world
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx


class LazyClient:
    """The user's HTTP client, or one of our own.

    One of ours is rebuilt in a forked process, after gevent replaced `ssl`, and when the file with the
    trusted certificates changed. The one before it closes when nothing uses it any longer.

    Args:
        given: The user's own client, which the user closes.
        make: Makes one of ours.
    """

    def __init__(self, given: httpx.Client | None, make: Callable[[], httpx.Client]) -> None:
        self._given = given
        self._make = make
        self._made: tuple[tuple[object, ...], httpx.Client] | None = None

    def __call__(self) -> httpx.Client:
        """Return the client of this process.

        Raises:
            ConfigurationError: The environment does not allow to make one; see `make_client`.
        """
        if self._given is not None:
            return self._given
        now, made = world(), self._made
        if made is not None and made[0] == now:
            return made[1]
        try:
            with FORK_LOCK:
                client = self._make()
        except ConfigurationError:
            if made is None or made[0][0] != os.getpid():
                raise
            return made[1]  # the file with the certificates is being replaced: the old ones serve meanwhile
        self._made = (now, client)
        return client

    def warm_up(self) -> None:
        """Import httpx, read the trusted certificates and make the client now: no caller should wait for it.

        Raises:
            ConfigurationError: The environment does not allow to make one; see `make_client`.
        """
        with FORK_LOCK:
            import_module("entra_guard._common.client")
        self()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._given is not None:
            raise TypeError(
                "an object with an http_client cannot be pickled, as connections cannot: build it in the "
                "other process, or without http_client"
            )
        return LazyClient, (None, self._make)

    def __deepcopy__(self, _memo: dict[int, Any]) -> LazyClient:
        return LazyClient(self._given, self._make)

    def close(self) -> None:
        """Close the client of ours, if there is one; the next request makes another."""
        made, self._made = self._made, None
        if made is not None and made[0][0] == os.getpid():
            made[1].close()
