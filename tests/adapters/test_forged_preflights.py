"""Nothing of an application runs for a forged CORS preflight: every framework, every form of the headers."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from recording_apps import APPS, PATHS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adapter_cases import AdapterCase

    from entra_guard import Guard
    from entra_guard._guard.combined_guard import CombinedGuard
    from entra_guard.testing import Entra

ORIGIN, METHOD = b"origin", b"access-control-request-method"
SPA, OTHER = b"https://spa.example", b"https://other.example"
OVERRIDE = (b"x-http-method-override", b"DELETE")

HEADERS: dict[str, list[tuple[bytes, bytes]]] = {
    f"origin {origin.decode()!r}, method {method.decode()!r}": [(ORIGIN, origin), (METHOD, method)]
    for origin, method in product(
        [SPA, b"", b"null"], [b"GET", b"DELETE", b"OPTIONS", b"", b"NONSENSE", b"get"]
    )
} | {
    "two origins": [(ORIGIN, SPA), (ORIGIN, OTHER), (METHOD, b"GET")],
    "two methods": [(ORIGIN, SPA), (METHOD, b"GET"), (METHOD, b"DELETE")],
    "other CORS headers": [
        (ORIGIN, SPA),
        (METHOD, b"DELETE"),
        (b"access-control-request-headers", b"authorization"),
        (b"access-control-request-private-network", b"true"),
    ],
    "underscored names": [(ORIGIN, SPA), (b"access_control_request_method", b"GET")],
    "names in capitals": [(b"Origin", SPA), (b"Access-Control-Request-Method", b"GET")],
    "no origin": [(METHOD, b"GET")],
    "no method": [(ORIGIN, SPA)],
    "no CORS header": [],
}


@pytest.fixture(scope="module", params=["guard", "combined guard"])
def any_guard(request: pytest.FixtureRequest, guard: Guard, entra: Entra) -> Guard | CombinedGuard:
    return guard if request.param == "guard" else guard | entra.guard(audience="api://another")


@pytest.fixture(params=APPS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def paths_of(name: str) -> list[str]:
    return [*PATHS, "/automatic", "/mounted/automatic"] if "Flask" in name else PATHS


def forged(entra: Entra) -> list[tuple[list[bytes], int]]:
    """Authorization headers that must not pass, with the status that each gets."""
    tokens = [entra.token(preset=preset).encode() for preset in ("forged", "expired")]
    return [
        ([], 401),
        ([b"Basic dXNlcjpwYXNzd29yZA=="], 400),
        ([b"Bearer"], 400),
        ([b"Bearer a.b.c", b"Bearer a.b.c"], 400),
        *(([b"Bearer " + token], 401) for token in tokens),
    ]


def combinations(paths: list[str], forged: list[tuple[list[bytes], int]]) -> Iterator[Any]:
    """Yield each path with each form of the headers, and each of these with each forged credential.

    Not all three with each other: each pair occurs, with the third in turn.
    """
    for shift, what in enumerate(HEADERS):
        for number in range(max(len(paths), len(forged))):
            yield paths[(number + shift) % len(paths)], what, forged[number % len(forged)]


def test_nothing_runs_for_a_forged_preflight(name: str, any_guard: Any, entra: Entra) -> None:
    ran: list[str] = []
    app: AdapterCase = APPS[name](any_guard, ran.append)
    for path, what, (authorization, status) in combinations(paths_of(name), forged(entra)):
        response = app(path, authorization, method="OPTIONS", headers=[*HEADERS[what], OVERRIDE])
        assert ran == [], (path, what, authorization)
        if answers_itself(name, path, HEADERS[what]):
            assert (response.status, response.body) == (200, b"")
        else:
            expected = 404 if is_unguarded(name, path) else status
            assert response.status == expected, (path, what, authorization)


def answers_itself(name: str, path: str, headers: list[tuple[bytes, bytes]]) -> bool:
    """Return whether Flask's guard responds: the route does not list OPTIONS, and CORS headers are there."""
    names = {name.lower().replace(b"_", b"-") for name, _value in headers}
    guarded_by_init_app = name in {"Flask", "Flask, guarded last"}
    return guarded_by_init_app and path.endswith("/automatic") and {ORIGIN, METHOD} <= names


def is_unguarded(name: str, path: str) -> bool:
    """Return whether no route is there for a guard that guards routes only."""
    return {"FastAPI, dependency": path in {"/mounted/deep", "/nowhere"}}.get(name, False) or (
        name == "REST framework without the middleware" and path in {"/mounted/deep", "/nowhere"}
    )


def test_with_a_token_the_same_applications_run(name: str, any_guard: Any, entra: Entra) -> None:
    """Proves that the other test can fail: what it sends does reach functions that record."""
    ran: list[str] = []
    app: AdapterCase = APPS[name](any_guard, ran.append)
    token = [b"Bearer " + entra.token().encode()]
    headers = [(ORIGIN, SPA), (METHOD, b"GET")]
    for path in ("/function", "/class"):
        app(path, token, method="OPTIONS", headers=headers)
    assert ran
