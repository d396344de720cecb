"""Refuse forms that another web page sends: Origin, Sec-Fetch-Site and a token in each form.

The emulator has no login, so a form that reaches it is obeyed. A page of another site, or of another port
of this machine, must not be able to send one.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._http.messages import Request

TOKEN_FIELD: Final = "form_token"  # noqa: S105 (a field's name)
_OWN_SITES: Final = frozenset({"same-origin", "none"})


def is_foreign(request: Request) -> bool:
    """Return whether a browser sent the request because a page of another origin caused it."""
    site, origin = request.header("sec-fetch-site"), request.header("origin")
    if site is not None and site.lower() not in _OWN_SITES:
        return True
    return origin is not None and origin.lower() != request.base.lower()


def is_own_form(request: Request, fields: Mapping[str, str], token: str) -> bool:
    """Return whether a form comes from one of the emulator's own pages.

    Args:
        request: The request that carries the form.
        fields: The form's fields.
        token: The token that this emulator writes into its forms.
    """
    sent = fields.get(TOKEN_FIELD, "")
    return not is_foreign(request) and hmac.compare_digest(sent.encode(), token.encode())
