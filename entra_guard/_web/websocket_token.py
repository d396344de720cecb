"""Read a token from the subprotocols of a WebSocket: browsers cannot set its headers. Knows no guard.

A page offers `authorization.bearer.<token>`, or the two names `bearer` and `<token>`, with the subprotocols
that the application speaks:

    new WebSocket(url, ["orders.v1", "authorization.bearer." + token])

The application sees the others only. A JWT is a valid subprotocol name (RFC 6455 section 4.1, RFC 9110
section 5.6.2). A browser closes a connection for which no offered name is selected (WHATWG "WebSockets").
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from entra_guard._common.logs import get_logger

if TYPE_CHECKING:
    from starlette.types import Message, Scope, Send

_HEADER: Final = b"sec-websocket-protocol"
_PREFIX: Final = "authorization.bearer."
_PAIR: Final = "bearer"
# The key in the scope of a WebSocket on a public path under which its tokens are, for a guard further inside.
_HIDDEN: Final = "entra_guard.websocket_tokens"


class _HiddenTokens:
    """Tokens that no text of the scope shows."""

    def __init__(self, values: list[bytes]) -> None:
        self.values = values

    def __repr__(self) -> str:
        return "<tokens>"


def hide_token(scope: Scope, send: Send) -> Send:
    """Move the tokens of a WebSocket on a public path to where only another guard looks.

    Returns:
        What the application sends with: selects a subprotocol if the application selects none.
    """
    values: list[bytes] = []
    selected = take_token(scope, values)
    if values:
        scope[_HIDDEN] = _HiddenTokens(values)
    if not selected:
        return send

    async def sending(message: Message) -> None:
        await send(with_subprotocol(message, selected))

    return sending


def with_subprotocol(message: Message, selected: str) -> Message:
    """Return a message of the application, which selects a subprotocol if the application selects none."""
    if message["type"] != "websocket.accept" or message.get("subprotocol"):
        return message
    return {**message, "subprotocol": selected}


def take_token(scope: Scope, values: list[bytes]) -> str:
    """Move the tokens from the subprotocols of a WebSocket request to the values of Authorization headers.

    Returns:
        The subprotocol to select if the application selects none.
    """
    tokens: list[str] = []
    others: list[str] = []
    selected = ""
    offered = iter(scope.get("subprotocols") or ())
    for name in offered:
        if name.lower().startswith(_PREFIX):
            tokens.append(name[len(_PREFIX) :])
        elif name.lower() == _PAIR:
            tokens.append(next(offered, ""))
            selected = name
        else:
            others.append(name)
    if tokens:
        _set_subprotocols(scope, others)
    elif isinstance(hidden := scope.get(_HIDDEN), _HiddenTokens):
        values += hidden.values
    values += [b"Bearer " + token.encode("latin-1", "replace") for token in tokens]
    return selected


def _set_subprotocols(scope: Scope, names: list[str]) -> None:
    scope["subprotocols"] = names
    headers = [header for header in scope["headers"] if header[0].lower() != _HEADER]
    if names:
        headers.append((_HEADER, ", ".join(names).encode("latin-1", "replace")))
    scope["headers"] = headers


def keep_tokens_from_server_logs() -> None:
    """Let uvicorn log no token: it logs the headers of WebSockets at DEBUG, and their scope at TRACE."""
    for name in ("uvicorn.error", "uvicorn.asgi"):
        get_logger(name).logger.addFilter(_WITHOUT_TOKENS)


class _WithoutTokens(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        with suppress(TypeError, ValueError):  # arguments that do not fit are the handler's to report
            text = record.getMessage()
            if _PAIR in text.lower():
                record.msg, record.args = _TOKEN.sub(r"\1[token]", text), ()
        return True


_WITHOUT_TOKENS: Final = _WithoutTokens()  # adding it again changes nothing
_TOKEN: Final = re.compile(r"""(bearer(?:\.|[\s,'"]+))[^\s,'"]+""", re.IGNORECASE)
