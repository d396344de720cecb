"""HTML pages: render a template and send it with a strict content security policy."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.differences import differing
from entra_guard.emulator._http.messages import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEMPLATE_PACKAGES: Final = ("entra_guard.emulator._pages", "entra_guard.emulator._portal")
_STATIC_PACKAGE: Final = "entra_guard.emulator._portal"
_JINJA_MISSING: Final = 'The emulator\'s pages need Jinja2: pip install "entra-guard[emulator]".'
STATIC: Final = "/portal/static/"
_TYPES: Final = {
    "portal.css": "text/css; charset=utf-8",
    "portal.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


def page(template: str, *, status: int = 200, policy: str = "", **context: Any) -> Response:
    """Render a page. It loads nothing from other origins and cannot be framed.

    Args:
        template: A template of the pages or of the portal.
        status: The status of the response.
        policy: More directives of the content security policy, such as `connect-src 'self'`.
        context: The values that the template uses.
    """
    try:
        text = _environment().get_template(template).render(**context)
    except ImportError:
        return Response(501, _JINJA_MISSING.encode(), (("Content-Type", "text/plain; charset=utf-8"),))
    return html_response(text, status, policy)


def fragment(template: str, **context: Any) -> Response:
    """Render a part of a page, which the portal's script inserts."""
    return html_response(_environment().get_template(template).render(**context))


def html_response(text: str, status: int = 200, policy: str = "") -> Response:
    """Return HTML with the headers of a page."""
    return Response(
        status,
        # A claim or a name may have half of a surrogate pair, which no encoding can express.
        text.encode("utf-8", "replace"),
        (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", f"{_PAGE_POLICY}; {policy}" if policy else _PAGE_POLICY),
            # Not no-referrer: with it, browsers send `Origin: null` with the page's own forms.
            ("Referrer-Policy", "same-origin"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        ),
    )


def form_post_page(uri: str, fields: Mapping[str, str]) -> Response:
    """Render a page that posts the fields to a redirect URI (`response_mode=form_post`)."""
    return page("form_post.html", title="Signing in", uri=uri, fields=fields)


def static_response(name: str) -> Response | None:
    """Return a style sheet, script or icon of the pages; None if there is no such file."""
    if name not in _TYPES:
        return None
    headers = (
        ("Content-Type", _TYPES[name]),
        ("Cache-Control", "public, max-age=31536000, immutable"),  # the address has the content's hash
        ("X-Content-Type-Options", "nosniff"),
    )
    return Response(200, _static_content(name), headers)


def asset(name: str) -> str:
    """Return the address of a static file, with a hash of its content."""
    return f"{STATIC}{name}?v={hashlib.sha256(_static_content(name)).hexdigest()[:12]}"


@functools.cache
def _static_content(name: str) -> bytes:
    return (resources.files(_STATIC_PACKAGE) / "static" / name).read_bytes()


@functools.cache
def _environment() -> Any:
    import jinja2  # noqa: PLC0415 (an extra, needed for pages only)

    environment: Any = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package) for package in _TEMPLATE_PACKAGES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = functools.cache(asset)
    environment.globals["differing"] = differing
    return environment
