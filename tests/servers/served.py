"""Two guarded applications for the servers under test: `asgi` and `wsgi`. Settings come from the environment.

Each answers with its process id and the event loop it runs in. FIRST_TOKEN is verified while the module is
imported: before the workers are forked, where the server preloads.
"""

from __future__ import annotations

import json
import os
from typing import Any

import sniffio

from entra_guard import Guard, KeySettings
from entra_guard.asgi import GuardMiddleware as AsgiGuard
from entra_guard.wsgi import GuardMiddleware as WsgiGuard

guard = Guard.from_env(keys=KeySettings(wait=20))  # a busy machine is no reason to fail
if first := os.environ.get("FIRST_TOKEN"):
    guard.verify(first)


def answer(loop: str) -> bytes:
    return json.dumps({"pid": os.getpid(), "loop": loop}).encode()


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError("no lifespan: the servers go on without (ASGI specification)")
    library = sniffio.current_async_library()
    if library == "asyncio":
        import asyncio

        library = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answer(library)})


def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [answer("")]


asgi = AsgiGuard(asgi_app, guard=guard)
wsgi = WsgiGuard(wsgi_app, guard=guard)
