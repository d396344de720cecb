"""Read a token from standard input or a hidden prompt."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Generator

_LARGEST: Final = 1 << 20
_ENDS: Final = (b"\n", b"\r", b"\x04")
_PROMPT: Final = "Paste the token (it is not shown) and press Enter: "


def read_token() -> str:
    """Read a token.

    Raises:
        click.UsageError: There is no token.
    """
    text = _prompt_hidden() if sys.stdin.isatty() else sys.stdin.read(_LARGEST)
    token = extract_token(text)
    if not token:
        raise click.UsageError("there is no token: pass it on standard input, or paste it at the prompt.")
    return token


def extract_token(text: str) -> str:
    """Take the token out of what people have: a header, a quoted word, the response of a token endpoint."""
    token = text.strip()
    if token.startswith("{"):
        token = _from_answer(token)
    for prefix in ("authorization:", "bearer "):
        if token.lower().startswith(prefix):
            token = token[len(prefix) :].strip()
    return token.strip("\"'")


def _from_answer(text: str) -> str:
    try:
        answer = json.loads(text)
    except ValueError:
        return text
    return str(answer.get("access_token", "")) or text


def _prompt_hidden() -> str:
    """Prompt without echo. getpass is limited to the terminal's line: 4096 bytes, on macOS 1024."""
    if find_spec("termios") is None:  # Windows, whose console has no such limit
        return str(click.prompt(_PROMPT.removesuffix(": "), hide_input=True))
    with _without_echo(sys.stdin.fileno()) as terminal:
        click.echo(_PROMPT, nl=False, err=True)
        text = _read_line(terminal)
    click.echo(err=True)
    return text.decode(errors="replace")


def _read_line(terminal: int) -> bytes:
    text = b""
    while len(text) < _LARGEST and not text.endswith(_ENDS):
        piece = os.read(terminal, 4096)
        if not piece:
            break
        text += piece
    return text.rstrip(b"\x04")


@contextmanager
def _without_echo(terminal: int) -> Generator[int]:
    """Disable the terminal's echo and line buffer within the block."""
    import termios  # noqa: PLC0415

    before = termios.tcgetattr(terminal)
    quiet = termios.tcgetattr(terminal)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(terminal, termios.TCSADRAIN, quiet)
    try:
        yield terminal
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
