"""A CORS preflight, which carries no token by design: the bare question goes in, the bare answer comes out.

Something inside may be there to answer it (Fetch standard, section 4.8). But an application that does not
look at the method would do its work for a stranger, and tell the stranger the result. So nothing that the
request brings goes in but its line and headers, and of the response nothing comes out but its status and
what CORS is about. Decides nothing about tokens.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
    from wsgiref.types import StartResponse, WSGIApplication

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_ANSWERS: Final = ("access-control-", "vary", "allow")
"""How the names of an answer's headers begin. 'Allow' is what a router says that has no CORS handling."""


def is_preflight(scope: Mapping[str, Any]) -> bool:
    """Whether an OPTIONS request is a preflight (Fetch standard, section 3.2.2)."""
    names = {name for name, _value in scope["headers"]}
    return {b"origin", b"access-control-request-method"} <= names


def is_preflight_environ(environ: Mapping[str, Any]) -> bool:
    """Whether a WSGI request, or one of Django's by its META, is a preflight."""
    return (
        environ.get("REQUEST_METHOD") == "OPTIONS"
        and "HTTP_ORIGIN" in environ
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    )


async def ask(app: App, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Put a preflight to an ASGI application."""
    bodies = [{"type": "http.request", "body": b"", "more_body": False}]
    answered = False

    async def question() -> Message:
        if bodies:
            return bodies.pop()
        while (message := await receive())["type"] == "http.request":
            pass
        return message

    async def answer(message: Message) -> None:
        nonlocal answered
        if message["type"] == "http.response.start" and not answered:
            answered = True
            headers = [
                field for field in message.get("headers", ()) if _is_answer(field[0].decode("latin-1"))
            ]
            await send({**message, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

    await app(scope, question, answer)


def ask_wsgi(app: WSGIApplication, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Put a preflight to a WSGI application."""
    answers: list[tuple[str, list[tuple[str, str]]]] = []

    def start(
        status: str, headers: list[tuple[str, str]], _exc_info: Any = None
    ) -> Callable[[bytes], object]:
        answers.append((status, [field for field in headers if _is_answer(field[0])]))
        return lambda _data: None

    body = app({**environ, "wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "0"}, start)
    try:
        next(iter(body), b"")  # a generator calls start_response no sooner
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    start_response(*answers[-1])
    return [b""]


def _is_answer(name: str) -> bool:
    return name.lower().startswith(_ANSWERS)
