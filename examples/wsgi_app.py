"""An API without any framework: a WSGI callable that streams, and a guard before it.

Set ENTRA_GUARD_TENANT and ENTRA_GUARD_AUDIENCE, then: gunicorn wsgi_app:application
"""

from collections.abc import Iterator
from typing import Any

from entra_guard import Guard, current_principal
from entra_guard.wsgi import GuardMiddleware


def orders(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Report who requests which path; the caller stays known while the response is streamed."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    yield f"orders of {environ['entra_guard.principal'].object_id}\n".encode()
    yield f"requested by {current_principal().app_id}\n".encode()


application = GuardMiddleware(orders, guard=Guard.from_env(), roles=["Orders.Read"])
