"""HTML pages: render a template and send it with a strict content security policy."""

from __future__ import annotations

import functools
import secrets
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.messages import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEMPLATE_PACKAGE: Final = "entra_guard.emulator._pages"
_JINJA_MISSING: Final = 'The emulator\'s pages need Jinja2: pip install "entra-guard[emulator]".'


def page(template: str, *, status: int = 200, **context: Any) -> Response:
    """Render a page. It loads nothing from other origins and cannot be framed."""
    nonce = secrets.token_urlsafe(16)
    try:
        text = _environment().get_template(template).render(nonce=nonce, **context)
    except ImportError:
        return Response(501, _JINJA_MISSING.encode(), (("Content-Type", "text/plain; charset=utf-8"),))
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


def form_post_page(uri: str, fields: Mapping[str, str]) -> Response:
    """Render a page that posts the fields to a redirect URI (`response_mode=form_post`)."""
    return page("form_post.html", title="Signing in", uri=uri, fields=fields)


@functools.cache
def _environment() -> Any:
    import jinja2  # noqa: PLC0415 (an extra, needed for pages only)

    return jinja2.Environment(
        loader=jinja2.PackageLoader(_TEMPLATE_PACKAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
