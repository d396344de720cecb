"""The base URLs of this emulator. A token names the one it was requested at in its issuer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._portal.tokens.token_facts import decode_token

if TYPE_CHECKING:
    from pathlib import Path

    from entra_guard.emulator._http.emulator_server import EmulatorServer


def certificate_file(server: EmulatorServer) -> Path | None:
    """Return the file of the certificate authority; None if https is not served."""
    try:
        return server.authority.certificate
    except RuntimeError:
        return None


def own_bases(server: EmulatorServer, base: str) -> list[str]:
    """Return the base in use, and those that the server listens on: http and https, by either name."""
    served = [server.url or "", server.https_url if certificate_file(server) is not None else ""]
    named = [url.replace("127.0.0.1", host) for url in served if url for host in ("127.0.0.1", "localhost")]
    return [*dict.fromkeys([base, *named])]


def base_of_token(server: EmulatorServer, base: str, token: str) -> str:
    """Return the base URL that a token was requested at.

    The token is not verified: this only selects the guard, which accepts tokens of its own base only.

    Args:
        server: The emulator's sockets.
        base: The base in use, which is also returned for other issuers' tokens.
        token: The token, which need not be one.
    """
    decoded = decode_token(token)
    issuer = str(decoded.claims.get("iss")) if decoded else ""
    return next((own for own in own_bases(server, base) if issuer.startswith(f"{own}/")), base)
