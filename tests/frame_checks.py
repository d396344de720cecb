"""What an error tracker would send of an error, and a check that nothing secret is in it.

Sentry's own serializer is used, with its scrubbing by names of variables switched off. The frames of the
tests themselves are left out: they are the caller's own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sentry_sdk.utils import event_from_exception

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

_OPTIONS = {
    "include_local_variables": True,
    "include_source_context": False,
    "max_value_length": 1_000_000,
    "custom_repr": None,
    "in_app_include": [],
    "in_app_exclude": [],
    "add_full_stack": False,
    "project_root": None,
}
PACKAGES = frozenset({"entra_guard", "httpx", "httpcore", "h11", "anyio", "concurrent", "threading"})


def caught(call: Callable[[], Any]) -> BaseException:
    """Return the error of a call, as the code around it catches it."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError("no error")


def event_of(error: BaseException) -> Any:
    """Return what Sentry makes of an error."""
    return event_from_exception((type(error), error, error.__traceback__), client_options=_OPTIONS)[0]


def sent_to_sentry(error: BaseException) -> str:
    """Return the event of an error as JSON, without the frames of tests and of web frameworks."""
    event = event_of(error)
    for value in event["exception"]["values"]:
        frames = value.get("stacktrace", {}).get("frames", [])
        value["stacktrace"] = [frame for frame in frames if root(frame["module"]) in PACKAGES]
    return json.dumps(event, default=repr)


def root(module: str | None) -> str:
    return (module or "").partition(".")[0]


def reachable_frames(error: BaseException) -> Iterator[FrameType]:
    """Yield every frame that an error reaches by tracebacks, causes and contexts."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        waiting += [each.__cause__, each.__context__]
        trace = each.__traceback__
        while trace is not None:
            yield trace.tb_frame
            trace = trace.tb_next


def assert_nothing_secret(error: BaseException, secrets: Iterable[str]) -> None:
    """Check the text of an error, what Sentry would send of it, and the locals of every frame it reaches."""
    secrets = [*secrets]
    assert all(len(secret) > 7 for secret in secrets), "too short to be told from other text"
    texts = [str(error), repr(error), repr(error.args), repr(getattr(error, "__notes__", ""))]
    texts.append(sent_to_sentry(error))
    for frame in reachable_frames(error):
        if root(frame.f_globals.get("__name__")) in PACKAGES:
            texts += [f"{name} = {shown(value)}" for name, value in frame.f_locals.items()]
    for text in texts:
        for secret in secrets:
            assert secret not in text, text[:2000]


def shown(value: Any, depth: int = 6) -> str:
    """Return the text of a local variable, containers and requests included."""
    if depth == 0:
        return ""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("latin-1")
    if isinstance(value, dict):
        return " ".join(shown(part, depth - 1) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return " ".join(shown(part, depth - 1) for part in value)
    return value if isinstance(value, str) else repr(value)
