"""The gate of an emulator that other containers reach: everything that needs no credential needs a secret.

The emulator lets anybody sign in as anybody, mint tokens and change the directory. On this machine that is
its purpose. On a network, only endpoints that check a credential themselves and public documents are open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._http.delivery import Delivery
from entra_guard.emulator._http.messages import json_response
from entra_guard.emulator._routes import find_route

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._store.store import Store

MIN_SECRET: Final = 16
# Clients authenticate there (token), bring a token (graph), or read what is public anyway.
_OPEN: Final = frozenset({"configuration", "keys", "instance", "token", "graph"})
_LABEL: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_OWN: Final = ("/_emu", "/portal")
_CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="entra-guard emulator", charset="UTF-8"')


def check_public(host: str, secret: str) -> None:
    """Check the name and the shared secret of an emulator for other containers.

    Raises:
        ValueError: The name is not a host name in lower case, or the secret is too short.
    """
    if not _HOST.fullmatch(host):
        raise ValueError(f"host={host!r} is not a host name: use letters, digits, '-' and '.' in lower case.")
    if len(secret) < MIN_SECRET:
        raise ValueError(
            f"An emulator for other containers needs a shared secret of at least {MIN_SECRET} characters for "
            "its pages, token minting and control: generate one with 'openssl rand -hex 32'."
        )


def sample_secret(secret: str) -> str:
    """Return the secret of the sample daemon: the usual one is known to everybody, this one is derived."""
    digest = hmac.digest(secret.encode(), b"entra-guard sample daemon", hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")[:40]


class PublicGate:
    """Pass requests on that need no secret or have it.

    Args:
        respond: Responds to the requests that pass.
        store: Knows the host name that is served.
        secret: The shared secret: the password of Basic credentials, with any user name.
    """

    def __init__(self, respond: Callable[[Request], Delivery], store: Store, secret: str) -> None:
        self._respond = respond
        self._store = store
        self._secret = secret.encode()

    def respond(self, request: Request) -> Delivery:
        """Return the response, or 401."""
        if self._is_open(request) or self._has_secret(request):
            return self._respond(request)
        return Delivery(_unauthorized())

    @staticmethod
    def _is_open(request: Request) -> bool:
        if request.path.lower().startswith(_OWN):  # whatever else such a path looks like
            return False
        found = find_route(request)
        return found is not None and found[0].target in _OPEN

    def _has_secret(self, request: Request) -> bool:
        scheme, _, encoded = (request.header("authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            _, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(password, self._secret)


def _unauthorized() -> Response:
    words = "This emulator serves other machines: pages, minting and control need the shared secret (Basic)."
    return json_response({"error": words}, 401, _CHALLENGE)
