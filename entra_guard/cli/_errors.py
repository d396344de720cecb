"""Errors on a terminal: first what failed, then the code, then what to do; words are never broken."""

from __future__ import annotations

import sys
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

import click

from entra_guard._escaping import escape, shorten
from entra_guard.errors import AccessError, EntraGuardError, FetchError, TokenAcquisitionError

if TYPE_CHECKING:
    from typing import IO

_LONGEST: Final = 2000
_INDENT: Final = "  "
_NARROWEST: Final = 40
_BY_STEP: Final = {
    "dns": "Check the host's name, and this machine's network and DNS.",
    "connect": "Check the address and port, and that a firewall lets the request out.",
    "proxy": "Check HTTPS_PROXY and NO_PROXY.",
    "tls": "Check the certificate authority. If a proxy inspects TLS, SSL_CERT_FILE must contain its own.",
    "timeout": "Run the command again; if it persists, check the network.",
    "http": "Check the tenant and the authority's URL.",
    "content": "Check the authority's URL: the response is not the expected document.",
}


class CliError(click.ClickException):
    """An error of a command, in three parts.

    Args:
        what: What failed, with the values.
        code: The code of the error, as programs and search engines know it; '' for none.
        remedy: What to do; '' if unknown.
    """

    def __init__(self, what: str, code: str = "", remedy: str = "") -> None:
        parts = (_safe(what), *(f"{_INDENT}{_safe(part)}" for part in (code, remedy) if part))
        super().__init__("\n".join(parts))
        self.code = code

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error to standard error, wrapped between words on a terminal."""
        out = file or sys.stderr
        text = f"Error: {self.format_message()}"
        width = max(_NARROWEST, get_terminal_size().columns) if out.isatty() else 0
        click.echo("\n".join(_wrapped(line, width) for line in text.splitlines()), file=out)


def _safe(text: str) -> str:
    """Return one part on one line: a value in it cannot control the terminal."""
    return shorten(text, _LONGEST) if text.isprintable() else escape(text, longest=_LONGEST)


def _wrapped(line: str, width: int) -> str:
    if not width or len(line) <= width:
        return line
    indent = _INDENT * 2 if line.startswith(_INDENT) else _INDENT
    return "\n".join(
        wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    )


def as_cli_error(error: EntraGuardError) -> CliError:
    """Return an error of this package for a terminal; every part is escaped."""
    if isinstance(error, TokenAcquisitionError):
        message = str(error).removesuffix(error.hint).strip()
        codes = [f"AADSTS{number}" for number in error.codes]
        trail = [f"correlation id {error.correlation_id}"] if error.correlation_id else []
        return _of(message, ", ".join([error.error, *codes, *trail]), error.hint)
    if isinstance(error, FetchError):
        return _of(f"{error.step}: {error.detail}", error.url, _BY_STEP.get(error.step, ""))
    text = error.report() if isinstance(error, AccessError) else str(error)
    return CliError("\n".join(escape(line) for line in text.splitlines()))


def _of(*parts: str) -> CliError:
    return CliError(*(escape(part, longest=_LONGEST) for part in parts))
