"""Build the refusals of tokens that cannot be verified now (503), with facts and advice for the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard._keys.authority_errors import names_setting
from entra_guard.errors import FetchError, KeysUnavailableError

if TYPE_CHECKING:
    from entra_guard._keys.documents import Source
    from entra_guard._keys.state import KeyCacheState

_NETWORK: Final = (
    "Let this host reach the URL: DNS, firewall, proxy and CA certificates. A host without egress can use a "
    "keys_file that 'entra-guard keys pull' writes on another host."
)
_ADVICE: Final = {
    "content": "Check authority and tenant. A proxy or captive portal may respond instead of the authority.",
    "http": "The authority responded with an error. If it lasts, check authority and tenant.",
}


def no_keys(state: KeyCacheState, source: Source, now: float) -> KeysUnavailableError:
    """Return the refusal of a token for which newer keys are needed and could not be fetched.

    Args:
        state: The state of the keys.
        source: Whose keys are needed.
        now: Monotonic seconds.
    """
    age = state.age(now)
    facts = facts_of(state.last_error, source)
    facts["last_success"] = "never" if age is None else f"{age:.0f} seconds ago"
    return _unavailable(facts, min(state.next_attempt, state.next_forced_attempt) - now)


def facts_of(error: Exception | None, source: Source) -> dict[str, object]:
    """Return what the operator must know about a failed round; None means that the round still runs."""
    url = source.configuration_urls["2.0"]
    if isinstance(error, FetchError):
        facts = {"url": error.url, "step": error.step, "detail": error.detail}
        advice = "" if names_setting(error.detail) else _ADVICE.get(error.step, _NETWORK)
        return {**facts, "advice": advice} if advice else dict(facts)
    if error is not None:
        return {"url": url, "step": "internal", "detail": str(error) or type(error).__name__}
    return {"url": url, "step": "timeout", "detail": "no response yet", "advice": _NETWORK}


def too_many_waiting(source: Source) -> KeysUnavailableError:
    """Return the refusal of a token when enough others wait for the refresh in flight."""
    detail = "many requests already wait for this refresh of the keys; see KeySettings.max_waiting_threads"
    return _unavailable({"url": source.configuration_urls["2.0"], "detail": detail}, 1.0)


def unusable_key(state: KeyCacheState, kid: str, why: str, now: float) -> KeysUnavailableError:
    """Return the refusal of a token whose key is published but cannot be used.

    Args:
        state: The state of the keys.
        kid: The token's kid.
        why: Why the key cannot be used.
        now: Monotonic seconds.
    """
    facts: dict[str, object] = {"kid": kid, "step": "content", "detail": f"the key is published, but {why}"}
    if state.snapshot is not None:
        facts["url"] = state.snapshot.keys_url
    return _unavailable(facts, min(state.next_attempt, state.general.available_at) - now)


def _unavailable(facts: dict[str, object], seconds: float) -> KeysUnavailableError:
    return KeysUnavailableError("keys_unavailable", facts, retry_after=max(1.0, seconds))
