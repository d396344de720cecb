"""Repeat an exchange as a curl command, with variables in place of what is hidden."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from entra_guard.emulator._activity.request_log import Exchange, Parameter


def curl_command(exchange: Exchange) -> str:
    """Return a command that repeats a request. Secrets, tokens and codes are shell variables."""
    parts = [f"curl {_method(exchange)}{_url(exchange)}"]
    if exchange.scheme.lower() == "basic":
        parts.append(f'-u {shlex.quote(exchange.client_id)}:"$CLIENT_SECRET"')
    elif exchange.scheme:
        parts.append(f'-H "Authorization: {_scheme(exchange.scheme)} $TOKEN"')
    parts += [_header(parameter) for parameter in exchange.headers]
    parts += [_field(parameter) for parameter in exchange.form]
    if any(header.name == "content-type" for header in exchange.headers):
        parts.append("--data-binary @body.json")  # bodies are not recorded
    return " \\\n  ".join(parts)


def variable_name(name: str) -> str:
    """Return the shell variable for a hidden parameter: `client_secret` becomes `CLIENT_SECRET`."""
    letters = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    return letters if letters[:1].isalpha() else f"P_{letters}"


def _method(exchange: Exchange) -> str:
    has_body = exchange.form or any(header.name == "content-type" for header in exchange.headers)
    implied = "POST" if has_body else "GET"
    return "" if exchange.method == implied else f"-X {shlex.quote(exchange.method)} "


def _url(exchange: Exchange) -> str:
    url = exchange.base + quote(exchange.path, safe="/:@!$&'()*+,;=~")
    if not exchange.query:
        return shlex.quote(url)
    shown = urlencode([(p.name, p.value) for p in exchange.query if not p.hidden])
    hidden = "".join(f'"&{quote(p.name)}=${variable_name(p.name)}"' for p in exchange.query if p.hidden)
    return shlex.quote(f"{url}?{shown}") + hidden


def _scheme(scheme: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "", scheme)


def _header(header: Parameter) -> str:
    if header.hidden:
        return f'-H "{header.name}: ${variable_name(header.name)}"'
    return f"-H {shlex.quote(f'{header.name}: {header.value}')}"


def _field(parameter: Parameter) -> str:
    if parameter.hidden:
        name = re.sub(r"[^A-Za-z0-9_.-]", "", parameter.name)
        return f'--data-urlencode "{name}=${variable_name(parameter.name)}"'
    return f"--data-urlencode {shlex.quote(f'{parameter.name}={parameter.value}')}"
