"""Metrics and spans by OpenTelemetry's API, once the application has set a provider.

OpenTelemetry is never imported here: an application that sets a provider has imported it. Without one,
`TELEMETRY.metrics` and `TELEMETRY.tracer` are None, and that is all that a request looks at. Names follow
OpenTelemetry's semantic conventions where these have one ('error.type', 'http.route', 'user.hash').

No attribute comes from a token that was not verified. A user is at most a hash.
"""

from __future__ import annotations

import re
import sys
import time
from contextlib import contextmanager, suppress
from hashlib import sha256
from inspect import signature
from typing import TYPE_CHECKING, Any, Final, Protocol

from entra_guard._common.living import Living
from entra_guard._common.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from types import ModuleType

_NAME: Final = "entra_guard"
# Bounds of the histogram: a cached token takes some microseconds, one that waits for keys up to seconds.
_SECONDS: Final = (
    0.000_005,
    0.000_01,
    0.000_025,
    0.000_05,
    0.000_1,
    0.000_25,
    0.000_5,
    0.001,
    0.01,
    0.1,
    1.0,
    5.0,
)
_ERROR_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MOST_ERROR_TYPES: Final = 100
_error_types: Final = set[str]()
_OTHER: Final = "_OTHER"  # what the conventions name an error that is not one of a known few

Attributes = dict[str, str | bool]


class ObservedKeys(Protocol):
    """The keys of one issuer, as the gauges show them."""

    def key_age(self) -> float | None:
        """Return how many seconds ago the keys were fetched; None if there are none."""
        ...

    def cached_tokens(self) -> int:
        """Return about how many verified tokens are cached."""
        ...

    def issuer_name(self) -> str:
        """Return the configured issuer."""
        ...


class ObservedCredential(Protocol):
    """A credential, as the gauge shows it."""

    def health(self) -> dict[str, Any]:
        """Return its proofs, with the days left for each."""
        ...


class Metrics:
    """The instruments of one meter.

    Args:
        meter: Makes them.
        module: `opentelemetry.metrics`, whose `Observation` gauges return.
        observed: What the gauges show.
    """

    def __init__(self, meter: Any, module: Any, observed: Observed) -> None:
        self._decisions = meter.create_counter(
            "entra_guard.decisions", "{decision}", "Requests that were accepted or refused"
        )
        self._validations = meter.create_histogram(
            "entra_guard.validation.duration",
            "s",
            "Duration of the validation of one token",
            **_bounds(meter),
        )
        self._lookups = meter.create_counter(
            "entra_guard.cache.lookups", "{lookup}", "Look-ups in the cache of verified tokens"
        )
        self._refreshes = meter.create_counter(
            "entra_guard.keys.refreshes", "{refresh}", "Rounds of fetching signing keys"
        )
        self._acquisitions = meter.create_counter(
            "entra_guard.token.acquisitions", "{token}", "Requests for outbound tokens"
        )
        gauges = {
            "entra_guard.keys.age": ("s", "Time since the signing keys were fetched", observed.key_ages),
            "entra_guard.cache.size": ("{token}", "Verified tokens in the cache", observed.cache_sizes),
            "entra_guard.credential.time_left": ("d", "Days until a credential ends", observed.days_left),
        }
        for name, (unit, description, values) in gauges.items():
            callback = _observer(values, module.Observation)
            meter.create_observable_gauge(name, [callback], unit=unit, description=description)

    def decided(self, reason: str, route: str | None) -> None:
        """Count a request.

        Args:
            reason: Why it was refused; '' if it was accepted.
            route: The template of its route; None if it was not routed.
        """
        attributes: Attributes = {"entra_guard.outcome": "refused" if reason else "accepted"}
        if reason:
            attributes["error.type"] = reason
        if route is not None:
            attributes["http.route"] = route
        self._decisions.add(1, attributes)

    def validated(self, seconds: float, *, is_cached: bool, is_valid: bool) -> None:
        """Record the validation of a token: whether it was seen before, and how long it took."""
        self._lookups.add(1, {"entra_guard.cache.result": "hit" if is_cached else "miss"})
        outcome = "accepted" if is_valid else "refused"
        attributes: Attributes = {"entra_guard.cached": is_cached, "entra_guard.outcome": outcome}
        self._validations.record(seconds, attributes)

    def refreshed(self, issuer: str, trigger: str, error: str) -> None:
        """Count a round of fetching keys, with its trigger and the step that failed ('' for none)."""
        attributes: Attributes = {"entra_guard.issuer": issuer, "entra_guard.trigger": trigger}
        self._refreshes.add(1, _with_error(attributes, error))

    def acquired(self, credential: str, error: str) -> None:
        """Count a request for an outbound token, with its OAuth error ('' for none)."""
        self._acquisitions.add(1, _with_error({"entra_guard.credential": credential}, error))


class Observed:
    """What the gauges show: all key managers and credentials of this process that still exist."""

    def __init__(self) -> None:
        self.keys: Living[ObservedKeys] = Living()
        self.credentials: Living[ObservedCredential] = Living()

    def key_ages(self) -> Iterable[tuple[float, Attributes]]:
        """Return the age of each issuer's keys in seconds: of the oldest, if several guards have them."""
        found: dict[str, float] = {}
        for keys in self.keys:
            age, issuer = keys.key_age(), keys.issuer_name()
            if age is not None:
                found[issuer] = max(age, found.get(issuer, 0.0))
        return [(age, {"entra_guard.issuer": issuer}) for issuer, age in found.items()]

    def cache_sizes(self) -> Iterable[tuple[float, Attributes]]:
        """Return how many verified tokens each issuer has in the caches of all its guards."""
        found: dict[str, int] = {}
        for keys in self.keys:
            found[keys.issuer_name()] = found.get(keys.issuer_name(), 0) + keys.cached_tokens()
        return [(size, {"entra_guard.issuer": issuer}) for issuer, size in found.items()]

    def days_left(self) -> Iterable[tuple[float, Attributes]]:
        """Return for how many days each proof of a credential is valid, where that is known."""
        found: list[tuple[float, Attributes]] = []
        for credential in self.credentials:
            with suppress(Exception):  # one that fails must not hide the others
                found += _days_left(credential)
        return found


def _days_left(credential: ObservedCredential) -> Iterable[tuple[float, Attributes]]:
    names: Attributes = {"entra_guard.credential": type(credential).__name__}
    names["entra_guard.client_id"] = str(getattr(credential, "client_id", ""))
    proofs = [proof for proof in credential.health()["proofs"] if proof["days_left"] is not None]
    return [(proof["days_left"], names | {"entra_guard.proof": proof["name"]}) for proof in proofs]


class Telemetry:
    """Where metrics and spans of this process go.

    Attributes:
        is_on: Whether there is any provider: what a request looks at.
        metrics: The instruments; None without a provider.
        tracer: Makes spans; None without a provider.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.metrics: Metrics | None = None
        self.tracer: Any = None
        self.observed: Final = Observed()

    def look_for_providers(self) -> None:
        """Use the providers that the application has set: at the first request, and from time to time."""
        if self.metrics is None:
            self._use_meter(sys.modules.get("opentelemetry.metrics"))
        if self.tracer is None:
            self._use_tracer(sys.modules.get("opentelemetry.trace"))

    def _use_meter(self, module: ModuleType | None) -> None:
        provider = _provider(module, "get_meter_provider")
        if provider is not None:
            self.connect(meter_provider=provider)

    def _use_tracer(self, module: ModuleType | None) -> None:
        provider = _provider(module, "get_tracer_provider")
        if provider is not None:
            self.connect(tracer_provider=provider)

    def connect(self, *, meter_provider: Any = None, tracer_provider: Any = None) -> None:
        """Use providers; None leaves what is used."""
        if meter_provider is not None:
            meter = meter_provider.get_meter(_NAME, __version__)
            self.metrics = Metrics(meter, sys.modules["opentelemetry.metrics"], self.observed)
        if tracer_provider is not None:
            self.tracer = tracer_provider.get_tracer(_NAME, __version__)
        self.is_on = self.metrics is not None or self.tracer is not None

    def disconnect(self) -> None:
        """Use no provider, as at the start."""
        self.metrics = self.tracer = None
        self.is_on = False

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, str], parent: Any = None) -> Generator[Any]:
        """Run a block in a span for a request to a server; yield the span, or None without a provider.

        Args:
            name: What is done.
            attributes: What is known about it beforehand.
            parent: The context of the request that it is done for; None for the current one.
        """
        tracer = self.tracer
        if tracer is None:
            yield None
            return
        kind = sys.modules["opentelemetry.trace"].SpanKind.CLIENT
        # An exception's text and traceback may hold what no span should have: the type is enough.
        with tracer.start_as_current_span(
            name,
            context=parent,
            kind=kind,
            attributes=dict(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield span

    @contextmanager
    def operation(
        self,
        name: str,
        attributes: Mapping[str, str],
        count: Callable[[Metrics, str], None],
        parent: Any = None,
    ) -> Generator[None]:
        """Run a block in a span, and count it with its error ('' for none).

        Args:
            name: What is done.
            attributes: What is known about it beforehand.
            count: Counts it.
            parent: The context of the request that it is done for; None for the current one.
        """
        if not self.is_on:
            yield
            return
        error = ""
        with self.span(name, attributes, parent) as span:
            try:
                yield
            except BaseException as raised:
                error = _error_of(raised)
                fail_span(span, error)
                raise
            finally:
                if self.metrics is not None:
                    count(self.metrics, error)

    @contextmanager
    def validation(self, *, is_cached: bool) -> Generator[None]:
        """Run a block that validates a token, and record how long it takes and whether it raises."""
        began, is_valid = time.perf_counter(), False
        try:
            yield
            is_valid = True
        finally:
            if self.metrics is not None:
                self.metrics.validated(time.perf_counter() - began, is_cached=is_cached, is_valid=is_valid)

    def request_span(self) -> Any:
        """Return the span of the request that runs here; None without a provider or a span."""
        if self.tracer is None:
            return None
        span = sys.modules["opentelemetry.trace"].get_current_span()
        return span if span.is_recording() else None

    def current_context(self) -> Any:
        """Return the context of the request that runs here, for a span on another thread."""
        if self.tracer is None:
            return None
        module = sys.modules.get("opentelemetry.context")
        return None if module is None else module.get_current()


def fail_span(span: Any, error: str) -> None:
    """Mark a span as failed; do nothing without a span."""
    if span is not None:
        span.set_attribute("error.type", error_type(error))
        trace = sys.modules["opentelemetry.trace"]
        span.set_status(trace.Status(trace.StatusCode.ERROR))


def error_type(name: str) -> str:
    """Return an error's name for 'error.type', which must have few values: a server may have written it.

    After some names that this process has seen, new ones are not told apart.
    """
    if name in _error_types:
        return name
    if not _ERROR_TYPE.fullmatch(name) or len(_error_types) >= _MOST_ERROR_TYPES:
        return _OTHER
    _error_types.add(name)
    return name


def _error_of(raised: BaseException) -> str:
    """Return the step of a `FetchError`, or the OAuth error of a `TokenAcquisitionError`."""
    return error_type(str(getattr(raised, "step", "") or getattr(raised, "error", "unexpected")))


def user_hash(tenant_id: str, identity: str) -> str:
    """Return a user's pseudonym for 'user.hash': the same in every process, and no id of Entra.

    Example:
        >>> user_hash("aaaabbbb-0000-cccc-1111-dddd2222eeee", "22223333-cccc-4444-dddd-5555eeee6666")
        '...'
    """
    return sha256(f"{tenant_id}/{identity}".encode()).hexdigest()[:32]


def _provider(module: ModuleType | None, getter: str) -> Any:
    """Return the provider that was set, None if there is only what OpenTelemetry's API has itself."""
    get = getattr(module, getter, None)
    if get is None:
        return None
    with suppress(Exception):  # the name of a provider in an environment variable may be wrong
        provider = get()
        is_real = not type(provider).__module__.startswith(("opentelemetry.metrics", "opentelemetry.trace"))
        return provider if is_real else None
    return None


def _bounds(meter: Any) -> dict[str, Any]:
    """Return the argument for the bounds of a histogram, which older versions of the API do not have."""
    advisory = "explicit_bucket_boundaries_advisory"
    return {advisory: _SECONDS} if advisory in signature(meter.create_histogram).parameters else {}


def _with_error(attributes: Attributes, error: str) -> Attributes:
    attributes["entra_guard.outcome"] = "failed" if error else "succeeded"
    return attributes | {"error.type": error_type(error)} if error else attributes


def _observer(
    values: Callable[[], Iterable[tuple[float, Attributes]]], observation: Callable[..., Any]
) -> Callable[[Any], list[Any]]:
    def observe(_options: Any) -> list[Any]:
        return [observation(value, attributes) for value, attributes in values()]

    return observe


# One per process, as OpenTelemetry's providers are.
TELEMETRY: Final = Telemetry()
