"""The guard before any WSGI application: whom it names, how long it knows them, what it leaves behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import bottle
import pytest
from raw_requests import environ_of, request_wsgi

from entra_guard import AccessError, ConfigurationError, current_principal, requires
from entra_guard.principal import NoPrincipalError
from entra_guard.wsgi import GuardMiddleware, health_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from entra_guard import Guard
    from entra_guard.testing import Entra


def good(entra: Entra, **who: Any) -> list[bytes]:
    return [b"Bearer " + entra.token(**who).encode()]


def start(_status: str, _headers: object, _exc_info: object = None) -> Any:
    """A server's start_response, for tests that look at the body alone."""


def nobody_is_current() -> bool:
    try:
        current_principal()
    except NoPrincipalError:
        return True
    return False


def test_the_environ_names_the_caller(guard: Guard, entra: Entra) -> None:
    seen: dict[str, Any] = {}

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", [])
        return [b""]

    request_wsgi(GuardMiddleware(app, guard=guard), "/", good(entra, user="alice"))
    principal = seen["entra_guard.principal"]
    assert seen["REMOTE_USER"] == principal.object_id == entra.find_user("alice").id
    assert seen["AUTH_TYPE"] == "Bearer"


def test_the_caller_is_known_while_a_body_is_streamed_and_closed(guard: Guard, entra: Entra) -> None:
    seen: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            seen.append(f"iter {current_principal().app_id}")
            for _ in range(2):
                yield current_principal().app_id.encode()

        def close(self) -> None:
            seen.append(f"close {current_principal().app_id}")

    def app(_environ: Any, start_response: Any) -> Body:
        start_response("200 OK", [])
        return Body()

    caller = entra.caller.client_id
    response = request_wsgi(GuardMiddleware(app, guard=guard), "/", good(entra))
    assert response.body.decode() == caller * 2
    assert seen == [f"iter {caller}", f"close {caller}"]


def test_interleaved_requests_on_one_thread_keep_their_callers(guard: Guard, entra: Entra) -> None:
    other = entra.register_app("Another caller")
    entra.grant(other, entra.api, "access_as_application")

    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(3):
            yield current_principal().app_id.encode()

    adapter = GuardMiddleware(app, guard=guard)
    one = iter(adapter(environ_of("/", good(entra)), start))
    two = iter(adapter(environ_of("/", good(entra, app=other)), start))
    chunks = [next(body) for body in (one, two, one, two, two, one)]
    ours, theirs = entra.caller.client_id.encode(), other.client_id.encode()
    assert chunks == [ours, theirs, ours, theirs, theirs, ours]
    assert nobody_is_current()


@pytest.mark.parametrize("ending", ["read to its end", "closed early", "dropped", "broken"])
def test_nothing_leaks_into_the_next_request_on_the_thread(guard: Guard, entra: Entra, ending: str) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/public":
            yield b"nobody" if nobody_is_current() else b"somebody"
            return
        yield b"first"
        if ending == "broken":
            raise ValueError("halfway")
        yield b"second"

    adapter = GuardMiddleware(app, guard=guard, public=["/public"])
    body = iter(adapter(environ_of("/", good(entra)), start))
    next(body)
    if ending == "read to its end":
        list(body)
    elif ending == "closed early":
        body.close()  # type: ignore[attr-defined]
    elif ending == "broken":
        with pytest.raises(ValueError, match="halfway"):
            next(body)
    del body
    assert request_wsgi(adapter, "/public", []).body == b"nobody"


def test_context_variables_of_an_application_last_for_its_request(guard: Guard, entra: Entra) -> None:
    from entra_guard.principal import bind_principal

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        bind_principal(current_principal())  # and never undone
        start_response("200 OK", [])
        return [b""]

    request_wsgi(GuardMiddleware(app, guard=guard), "/", good(entra))
    assert nobody_is_current()


def test_a_generator_is_closed_with_its_body(guard: Guard, entra: Entra) -> None:
    closed: list[str] = []

    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            yield b"first"
            yield b"never"
        finally:
            closed.append(current_principal().app_id)

    body: Any = GuardMiddleware(app, guard=guard)(environ_of("/", good(entra)), start)
    assert next(iter(body)) == b"first"
    body.close()
    assert closed == [entra.caller.client_id]


@pytest.mark.parametrize(("close", "chunks"), [(True, 1), (False, 4)])
def test_a_streamed_body_ends_with_its_token_with_close_at_expiry(
    entra: Entra, close: bool, chunks: int
) -> None:
    token = entra.token()
    now, end = [entra.now()], entra.guard().verify(token).expires_at
    guard = entra.guard(leeway=0, clock=lambda: now[0])
    closed: list[bool] = []

    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            yield b"1"
            now[0] = end
            yield from [b"2", b"3", b"4"]
        finally:
            closed.append(True)

    response = request_wsgi(
        GuardMiddleware(app, guard=guard, close_at_expiry=close), "/", [b"Bearer " + token.encode()]
    )
    assert (len(response.body), closed) == (chunks, [True])


@pytest.mark.parametrize(("length", "body"), [([], b"1"), ([("Content-Length", "2")], b"12")])
def test_a_revoked_caller_gets_no_later_chunk_except_of_a_body_with_a_length(
    entra: Entra, length: list[tuple[str, str]], body: bytes
) -> None:
    guard, token = entra.guard(), entra.token()

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", length)
        yield b"1"
        guard.revoke(environ["entra_guard.principal"].object_id)  # while the body waits for its next chunk
        yield b"2"

    response = request_wsgi(GuardMiddleware(app, guard=guard), "/", [b"Bearer " + token.encode()])
    assert (response.status, response.body) == (200, body)


def test_a_refusal_before_the_first_byte_is_sent_and_a_later_one_is_raised(
    guard: Guard, entra: Entra
) -> None:
    @requires(roles=["Orders.Admin"])
    def refusing() -> None: ...

    def early(_environ: Any, start_response: Any) -> Iterator[bytes]:
        refusing()
        start_response("200 OK", [])
        yield b"the admin's"

    def late(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"something"
        refusing()

    assert request_wsgi(GuardMiddleware(early, guard=guard), "/", good(entra)).status == 403
    with pytest.raises(AccessError, match="missing_role"):
        request_wsgi(GuardMiddleware(late, guard=guard), "/", good(entra))


def test_a_complete_body_is_passed_to_the_server_unchanged(
    guard: Guard, entra: Entra, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"a file")
    with (tmp_path / "file").open("rb") as file:
        bodies: list[Any] = [[b"a list"], (b"a tuple",), FileWrapper(file)]
        for body in bodies:

            def app(_environ: Any, start_response: Any, body: Any = body) -> Any:
                start_response("200 OK", [])
                return body

            environ = environ_of("/", good(entra)) | {"wsgi.file_wrapper": FileWrapper}
            assert GuardMiddleware(app, guard=guard)(environ, start) is body


def test_the_middleware_conforms_to_pep_3333(guard: Guard, entra: Entra) -> None:
    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written ")
        yield b"and streamed"

    adapter = validator(GuardMiddleware(validator(app), guard=guard))
    environ = environ_of("/", good(entra)) | {"wsgi.input": open("/dev/null", "rb")}  # noqa: PTH123, SIM115
    with environ["wsgi.input"]:
        body: Any = adapter(environ, lambda _status, _headers, _exc=None: lambda _data: None)
        assert list(body) == [b"and streamed"]
        body.close()


@pytest.mark.parametrize(
    ("script_name", "path_info", "status"),
    [
        ("", "/healthz", 200),
        ("", "/healthz/", 401),
        ("/api", "/healthz", 200),
        ("/healthz", "/orders", 401),
        ("/healthz", "", 401),
        ("", "//healthz", 401),
        ("", "/healthz/..;/orders", 401),
        ("", "/caf\xc3\xa9", 200),
        ("", "/caf\xe9", 401),
        ("", "", 401),
    ],
)
def test_public_paths_are_those_that_the_application_routes(
    guard: Guard, script_name: str, path_info: str, status: int
) -> None:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b""]

    statuses: list[str] = []
    environ = environ_of("/", []) | {"SCRIPT_NAME": script_name, "PATH_INFO": path_info}
    adapter = GuardMiddleware(app, guard=guard, public=["/healthz", "/café"])
    adapter(environ, lambda status, _headers, _exc=None: statuses.append(status))  # type: ignore[arg-type,return-value]
    assert int(statuses[0][:3]) == status


@pytest.mark.parametrize("path_info", ["/static/\xff", "/static/\xff/admin", "/static/.\xff./admin"])
def test_bytes_that_a_router_omits_make_no_path_public(guard: Guard, path_info: str) -> None:
    def page(below: str = "") -> str:
        return f"page {below}"

    app: Any = bottle.Bottle()
    app.route("/static/", callback=page)
    app.route("/static/<below:path>", callback=page)
    adapter = GuardMiddleware(app, guard=guard, public=["/static/*"])

    def status_of(path_info: str) -> int:
        statuses: list[str] = []
        environ = environ_of("/", []) | {"PATH_INFO": path_info}
        adapter(environ, lambda status, _headers, _exc=None: statuses.append(status))  # type: ignore[arg-type,return-value]
        return int(statuses[0][:3])

    assert status_of("/static/logo.png") == 200
    assert status_of(path_info) == status_of("/static/") == 401


def test_the_whole_application_can_require_a_role(guard: Guard, entra: Entra) -> None:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b""]

    adapter = GuardMiddleware(app, guard=guard, roles=["Orders.Read"])
    assert request_wsgi(adapter, "/", good(entra, roles=["Orders.Read"])).status == 200
    assert request_wsgi(adapter, "/", good(entra)).challenge == (
        'Bearer error="insufficient_scope", '
        'error_description="The caller lacks a role that this operation requires.", scope="Orders.Read"'
    )


def test_threads_see_their_own_caller(guard: Guard, entra: Entra) -> None:
    callers = [entra.register_app(f"Caller {number}") for number in range(4)]
    barrier = threading.Barrier(4)
    seen: dict[str, bytes] = {}

    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        barrier.wait()
        yield current_principal().app_id.encode()

    adapter = GuardMiddleware(app, guard=guard)

    def call(client_id: str) -> None:
        token = good(entra, app=client_id, roles=["Orders.Read"])
        seen[client_id] = request_wsgi(adapter, "/", token).body

    threads = [threading.Thread(target=call, args=(app.client_id,)) for app in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {app.client_id: app.client_id.encode() for app in callers}


def test_a_guard_of_another_type_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="guard must be a Guard, got None"):
        GuardMiddleware(lambda _e, _s: [], guard=None)  # type: ignore[arg-type]


def test_a_health_endpoint_follows_the_keys(entra: Entra) -> None:
    with entra.failing("configuration", "500"):
        response = request_wsgi(health_app(entra.guard()), "/readyz", [])
        assert (response.status, response.content_type) == (503, "application/json")
    fresh = entra.guard()
    fresh.verify(entra.token())
    assert request_wsgi(health_app(fresh), "/readyz", []).status == 200
    assert request_wsgi(health_app(fresh), "/readyz", [], method="HEAD").body == b""
