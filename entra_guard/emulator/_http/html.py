"""The emulator's pages, from templates to answers. Knows how they look, not what they decide."""

from __future__ import annotations

import functools
import secrets
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.messages import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEMPLATES: Final = "entra_guard.emulator._pages"
_MISSING: Final = 'The emulator\'s pages need Jinja2: pip install "entra-guard[emulator]".'


def page(template: str, *, status: int = 200, **context: Any) -> Response:
    """A page. It loads nothing from elsewhere, runs no script but its own, and no other page may frame it."""
    nonce = secrets.token_urlsafe(16)
    try:
        text = _environment().get_template(template).render(nonce=nonce, **context)
    except ImportError:
        return Response(501, _MISSING.encode(), (("Content-Type", "text/plain; charset=utf-8"),))
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; frame-ancestors 'none'"
    )
    return Response(
        status,
        text.encode(),
        (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", policy),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        ),
    )


def posted(uri: str, fields: Mapping[str, str]) -> Response:
    """A page that posts an answer to a redirect URI by itself (`response_mode=form_post`)."""
    return page("form_post.html", title="Signing in", uri=uri, fields=fields)


@functools.cache
def _environment() -> Any:
    import jinja2  # noqa: PLC0415 (an extra, needed for pages only)

    return jinja2.Environment(
        loader=jinja2.PackageLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
