"""What a GUID looks like in Entra: 36 characters, hyphens, hexadecimal in any case."""

from __future__ import annotations

import re
from functools import lru_cache

_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


@lru_cache(maxsize=4096)
def is_guid(text: str) -> bool:
    """Tell whether a text is a GUID, as tenant ids and client ids are."""
    return _GUID.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def is_tenant_id(text: str) -> bool:
    """Tell whether a text is a tenant id as Entra writes it, in lower case: one tenant has one spelling."""
    return is_guid(text) and text == text.lower()
