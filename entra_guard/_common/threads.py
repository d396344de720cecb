"""Start daemon threads, and never hang where none can be started."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ShutdownError(RuntimeError):
    """The interpreter exits: no thread can be started any longer."""


def start_thread(target: Callable[..., object], *arguments: object, name: str) -> None:
    """Start a daemon thread.

    Raises:
        ShutdownError: The interpreter exits.
        RuntimeError: The process has too many threads.
    """
    if sys.is_finalizing():  # Python 3.11 would start it, and wait forever for it to run
        raise ShutdownError("the interpreter is shutting down")
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        if "shutdown" in str(error):  # Python 3.12 and later, once the main thread has ended
            raise ShutdownError(str(error)) from error
        raise
