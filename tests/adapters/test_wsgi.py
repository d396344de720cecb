"""The guard before any WSGI application: whom it names, how long it knows them, what it leaves behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from bare_requests import ask_wsgi, environ_of

from entra_guard import AccessError, ConfigurationError, current_principal, requires
from entra_guard.principal import NoPrincipalError
from entra_guard.wsgi import GuardMiddleware, health_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from entra_guard import Guard
    from entra_guard.testing import Entra


def good(office: Entra, **who: Any) -> list[bytes]:
    return [b"Bearer " + office.token(**who).encode()]


def start(_status: str, _headers: object, _exc_info: object = None) -> Any:
    """A server's start_response, for tests that look at the body alone."""


def nobody_is_current() -> bool:
    try:
        current_principal()
    except NoPrincipalError:
        return True
    return False


def test_the_environ_names_the_caller(guard: Guard, office: Entra) -> None:
    seen: dict[str, Any] = {}

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", [])
        return [b""]

    ask_wsgi(GuardMiddleware(app, guard=guard), "/", good(office, user="alice"))
    principal = seen["entra_guard.principal"]
    assert seen["REMOTE_USER"] == principal.object_id == office.find_user("alice").id
    assert seen["AUTH_TYPE"] == "Bearer"


def test_the_caller_is_known_while_a_body_is_streamed_and_closed(guard: Guard, office: Entra) -> None:
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

    caller = office.caller.client_id
    answer = ask_wsgi(GuardMiddleware(app, guard=guard), "/", good(office))
    assert answer.body.decode() == caller * 2
    assert seen == [f"iter {caller}", f"close {caller}"]


def test_requests_that_are_interleaved_on_one_thread_do_not_mix(guard: Guard, office: Entra) -> None:
    other = office.register_app("Another caller")
    office.grant(other, office.api, "access_as_application")

    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(3):
            yield current_principal().app_id.encode()

    door = GuardMiddleware(app, guard=guard)
    one = iter(door(environ_of("/", good(office)), start))
    two = iter(door(environ_of("/", good(office, app=other)), start))
    chunks = [next(body) for body in (one, two, one, two, two, one)]
    ours, theirs = office.caller.client_id.encode(), other.client_id.encode()
    assert chunks == [ours, theirs, ours, theirs, theirs, ours]
    assert nobody_is_current()


@pytest.mark.parametrize("ending", ["read to its end", "closed early", "dropped", "broken"])
def test_nothing_leaks_into_the_next_request_on_the_thread(guard: Guard, office: Entra, ending: str) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/public":
            yield b"nobody" if nobody_is_current() else b"somebody"
            return
        yield b"first"
        if ending == "broken":
            raise ValueError("halfway")
        yield b"second"

    door = GuardMiddleware(app, guard=guard, public=["/public"])
    body = iter(door(environ_of("/", good(office)), start))
    next(body)
    if ending == "read to its end":
        list(body)
    elif ending == "closed early":
        body.close()  # type: ignore[attr-defined]
    elif ending == "broken":
        with pytest.raises(ValueError, match="halfway"):
            next(body)
    del body
    assert ask_wsgi(door, "/public", []).body == b"nobody"


def test_what_an_application_puts_into_its_context_stays_there(guard: Guard, office: Entra) -> None:
    from entra_guard.principal import bind_principal

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        bind_principal(current_principal())  # and never undone
        start_response("200 OK", [])
        return [b""]

    ask_wsgi(GuardMiddleware(app, guard=guard), "/", good(office))
    assert nobody_is_current()


def test_a_generator_is_closed_with_its_body(guard: Guard, office: Entra) -> None:
    closed: list[str] = []

    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            yield b"first"
            yield b"never"
        finally:
            closed.append(current_principal().app_id)

    body: Any = GuardMiddleware(app, guard=guard)(environ_of("/", good(office)), start)
    assert next(iter(body)) == b"first"
    body.close()
    assert closed == [office.caller.client_id]


@pytest.mark.parametrize(("asked", "chunks"), [(True, 2), (False, 4)])
def test_a_streamed_body_ends_with_its_token_when_asked(office: Entra, asked: bool, chunks: int) -> None:
    token = office.token()
    now, end = [office.now()], office.guard().verify(token).expires_at
    guard = office.guard(leeway=0, clock=lambda: now[0])
    closed: list[bool] = []

    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            yield b"1"
            now[0] = end
            yield from [b"2", b"3", b"4"]
        finally:
            closed.append(True)

    answer = ask_wsgi(
        GuardMiddleware(app, guard=guard, close_at_expiry=asked), "/", [b"Bearer " + token.encode()]
    )
    assert (len(answer.body), closed) == (chunks, [True])


def test_a_refusal_before_the_first_byte_is_answered_and_a_later_one_is_an_error(
    guard: Guard, office: Entra
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

    assert ask_wsgi(GuardMiddleware(early, guard=guard), "/", good(office)).status == 403
    with pytest.raises(AccessError, match="missing_role"):
        ask_wsgi(GuardMiddleware(late, guard=guard), "/", good(office))


def test_a_body_that_is_at_hand_goes_to_the_server_as_it_is(
    guard: Guard, office: Entra, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"a file")
    with (tmp_path / "file").open("rb") as file:
        bodies: list[Any] = [[b"a list"], (b"a tuple",), FileWrapper(file)]
        for body in bodies:

            def app(_environ: Any, start_response: Any, body: Any = body) -> Any:
                start_response("200 OK", [])
                return body

            environ = environ_of("/", good(office)) | {"wsgi.file_wrapper": FileWrapper}
            assert GuardMiddleware(app, guard=guard)(environ, start) is body


def test_the_gateway_protocol_is_kept(guard: Guard, office: Entra) -> None:
    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written ")
        yield b"and streamed"

    door = validator(GuardMiddleware(validator(app), guard=guard))
    environ = environ_of("/", good(office)) | {"wsgi.input": open("/dev/null", "rb")}  # noqa: PTH123, SIM115
    with environ["wsgi.input"]:
        body: Any = door(environ, lambda _status, _headers, _exc=None: lambda _data: None)
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
    door = GuardMiddleware(app, guard=guard, public=["/healthz", "/café"])
    door(environ, lambda status, _headers, _exc=None: statuses.append(status))  # type: ignore[arg-type,return-value]
    assert int(statuses[0][:3]) == status


def test_the_whole_application_can_ask_for_a_role(guard: Guard, office: Entra) -> None:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b""]

    door = GuardMiddleware(app, guard=guard, roles=["Orders.Read"])
    assert ask_wsgi(door, "/", good(office, roles=["Orders.Read"])).status == 200
    assert ask_wsgi(door, "/", good(office)).challenge == (
        'Bearer error="insufficient_scope", '
        'error_description="The caller lacks a role that this operation requires.", scope="Orders.Read"'
    )


def test_threads_see_their_own_caller(guard: Guard, office: Entra) -> None:
    callers = [office.register_app(f"Caller {number}") for number in range(4)]
    barrier = threading.Barrier(4)
    seen: dict[str, bytes] = {}

    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        barrier.wait()
        yield current_principal().app_id.encode()

    door = GuardMiddleware(app, guard=guard)

    def call(client_id: str) -> None:
        token = good(office, app=client_id, roles=["Orders.Read"])
        seen[client_id] = ask_wsgi(door, "/", token).body

    threads = [threading.Thread(target=call, args=(app.client_id,)) for app in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {app.client_id: app.client_id.encode() for app in callers}


def test_a_guard_that_is_none_is_refused_when_the_middleware_is_built() -> None:
    with pytest.raises(ConfigurationError, match="guard must be a Guard, not NoneType"):
        GuardMiddleware(lambda _e, _s: [], guard=None)  # type: ignore[arg-type]


def test_a_health_endpoint_follows_the_keys(office: Entra) -> None:
    with office.failing("configuration", "500"):
        answer = ask_wsgi(health_app(office.guard()), "/readyz", [])
        assert (answer.status, answer.content_type) == (503, "application/json")
    fresh = office.guard()
    fresh.verify(office.token())
    assert ask_wsgi(health_app(fresh), "/readyz", []).status == 200
    assert ask_wsgi(health_app(fresh), "/readyz", [], method="HEAD").body == b""
