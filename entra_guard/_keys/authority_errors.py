"""Explain an authority's error response in place of a document: Entra's AADSTS codes, and what to change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from entra_guard._escaping import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._keys.documents import Source

_CODE: Final = re.compile(r"\b(?:AADSTS\d{1,9}|AADB2C\d{1,9})\b")
# Entra ends its texts with ids that say nothing to an operator and differ in each response.
_TAIL: Final = re.compile(r"(?:Trace ID|Correlation ID|Timestamp):.*", re.DOTALL)
_NO_TENANT_NAME: Final = "{tenant} is not a tenant id or a verified domain ({code}): check `tenant`"
_OTHER_CLOUD: Final = "the tenant {tenant} is in another Microsoft cloud ({code}): check `authority`"
_EXPLANATIONS: Final = {
    "AADSTS90002": "Entra knows no tenant {tenant} ({code}): check `tenant`",
    "AADSTS900021": _NO_TENANT_NAME,
    "AADSTS900023": _NO_TENANT_NAME,
    "AADSTS90038": _OTHER_CLOUD,
    "AADSTS900382": _OTHER_CLOUD,
    "AADSTS900439": _OTHER_CLOUD,
    "AADSTS50049": "Entra does not know the host of {authority} ({code}): check `authority`",
}


def explain_error(status: int, document: Mapping[str, Any], source: Source) -> str:
    """Return what an error response says, and which setting to check if that is known.

    Args:
        status: The HTTP status.
        document: The JSON object in the response (RFC 6749 section 5.2, and as Entra writes it).
        source: What was requested.

    Example:
        >>> from entra_guard._keys.authority import Authority
        >>> from entra_guard._keys.documents import Source
        >>> source = Source(Authority.named("public"), "contso.com", frozenset({"2.0"}))
        >>> explain_error(400, {"error": "invalid_tenant", "error_codes": [90002]}, source)
        'status 400: Entra knows no tenant contso.com (AADSTS90002): check `tenant`'
    """
    error, text = document.get("error"), document.get("error_description")
    if isinstance(error, dict):  # as Graph and B2C write it
        inner = cast("dict[str, object]", error)
        text = inner.get("message") or inner.get("code")
        error = None
    words = _TAIL.sub("", text).rstrip() if isinstance(text, str) else error if isinstance(error, str) else ""
    code = _code(words, document.get("error_codes"))
    if known := _EXPLANATIONS.get(code):
        tenant, authority = printable(source.tenant), source.authority.url
        return f"status {status}: {known.format(tenant=tenant, authority=authority, code=code)}"
    return f"status {status}: {printable(words)}" if words else f"status {status}"


def names_setting(detail: str) -> bool:
    """Return whether the text of an error names the setting to check: then the network is not the cause.

    Example:
        >>> names_setting("status 400: Entra knows no tenant contso.com (AADSTS90002): check `tenant`")
        True
    """
    return "check `" in detail


def _code(words: str, codes: object) -> str:
    """Return the code in Entra's text, or else the first one of its list."""
    if found := _CODE.search(words):
        return found[0]
    number = cast("list[object]", codes)[0] if isinstance(codes, list) and codes else None
    return f"AADSTS{number}" if isinstance(number, int) else ""
