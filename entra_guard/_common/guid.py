"""Recognise GUIDs as Entra writes them: 36 characters, hexadecimal with hyphens."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_LENGTH: Final = 36


def is_guid(text: str) -> bool:
    """Return whether a text is a GUID, as client ids are."""
    # The length first: the cache must not keep long untrusted texts.
    return len(text) == _LENGTH and _matches(text)


def is_tenant_id(text: str) -> bool:
    """Return whether a text is a tenant id as Entra writes it, in lower case: one tenant has one spelling."""
    return is_guid(text) and text == text.lower()


def find_guid(text: str) -> str:
    """Return the first GUID in a text such as 'https://sts.windows.net/{tenant}/', or ''."""
    found = _GUID.search(text)
    return found[0] if found else ""


@lru_cache(maxsize=4096)
def _matches(text: str) -> bool:
    return _GUID.fullmatch(text) is not None
