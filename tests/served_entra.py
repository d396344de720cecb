"""An Entra on real sockets, for tests of clients that cannot use its in-process transport."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entra_guard.testing import Entra


@contextmanager
def served(entra: Entra) -> Iterator[None]:
    """Serve on loopback until the block ends."""
    entra.start()
    try:
        yield
    finally:
        entra.stop()
