"""KeySettings: how signing keys are cached and refreshed. Values that cannot work are refused here."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from entra_guard.errors import ConfigurationError

_COUNTS: Final = frozenset({"max_waiting_threads", "max_waiting_tasks"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """How keys are cached and refreshed; times are in seconds.

    Attributes:
        refresh: Between two background refreshes, plus or minus a tenth; at least 60.
        max_stale: The maximum age of cached keys while the authority is down. (The longest public outage
            of Entra lasted 14 h 25 min.)
        cooldown: Between two refreshes for an unknown kid, and up to half as long again; doubles while
            nothing new appears.
        max_cooldown: The limit of that doubling; how long an unknown kid is remembered; and the time
            between two refreshes for a kid whose signatures fail.
        wait: The longest time that a request waits for a refresh.
        max_backoff: The limit of the doubling after failures, which begins at 1 s.
        configuration_life: How long the OpenID configuration is used before it is read again.
        retired_key_grace: How long a withdrawn key continues to verify tokens.
        max_waiting_threads: The number of threads per guard that may wait for one refresh with tokens of
            unknown callers. Keep it well below the number of the server's threads: what is left serves
            tokens whose key is cached.
        max_waiting_tasks: The same for tasks of an event loop, which cost little.

    Raises:
        ConfigurationError: A setting that cannot work.

    Example:
        >>> KeySettings(max_stale=7 * 24 * 3600).refresh  # a host whose keys file arrives once a week
        3600.0
    """

    refresh: float = 3600.0
    max_stale: float = 24 * 3600.0
    cooldown: float = 30.0
    max_cooldown: float = 300.0
    wait: float = 3.0
    max_backoff: float = 300.0
    configuration_life: float = 12 * 3600.0
    retired_key_grace: float = 0.0
    max_waiting_threads: int = 8
    max_waiting_tasks: int = 1000

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            is_count = setting.name in _COUNTS
            if isinstance(value, bool) or not isinstance(value, int if is_count else int | float):
                unit = "a whole number" if is_count else "a number of seconds"
                raise ConfigurationError(f"{setting.name} must be {unit}, got {value!r}")
        lowest = {
            "refresh": 60.0,
            "max_stale": self.refresh,
            "cooldown": 1.0,
            "max_cooldown": self.cooldown,
            "max_backoff": 1.0,
        }
        bounds = {"max_stale": ", the value of refresh,", "max_cooldown": ", the value of cooldown,"}
        for setting in fields(self):
            value, low = getattr(self, setting.name), lowest.get(setting.name, 0.0)
            if not low <= value < float("inf"):
                unit = "" if setting.name in _COUNTS else " seconds"
                raise ConfigurationError(
                    f"{setting.name} must be at least {low:g}{unit}{bounds.get(setting.name, '')} "
                    f"and finite, got {value!r}"
                )
