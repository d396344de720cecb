"""A port on loopback that refuses connections, and that no other program can take meanwhile."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def closed_port() -> Iterator[int]:
    """Reserve a port on which nothing listens until the block ends."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
