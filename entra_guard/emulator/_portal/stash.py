"""Values that a page shows exactly once after a redirect: notices and new secrets."""

from __future__ import annotations

import secrets
import threading
from typing import Any, Final

_MAX_ENTRIES: Final = 50


class Stash:
    """Keep values until they are taken. Only the newest 50 are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, Any] = {}

    def put(self, value: Any) -> str:
        """Keep a value, and return the key under which it can be taken once."""
        key = secrets.token_urlsafe(12)
        with self._lock:
            self._entries[key] = value
            for oldest in list(self._entries)[:-_MAX_ENTRIES]:
                del self._entries[oldest]
        return key

    def take(self, key: str) -> Any:
        """Return a value and remove it; None if it is not there any more."""
        with self._lock:
            return self._entries.pop(key, None)
