"""How to find and fix the cause of each reason for a refusal."""

from __future__ import annotations

from typing import Final

from entra_guard.cli.reason_guides._guide import PLACEHOLDERS, Guide, filled, is_filled
from entra_guard.cli.reason_guides._outages import OUTAGES
from entra_guard.cli.reason_guides._permissions import PERMISSIONS
from entra_guard.cli.reason_guides._requests import REQUESTS
from entra_guard.cli.reason_guides._tokens import TOKENS

__all__ = ["GUIDES", "PLACEHOLDERS", "Guide", "filled", "is_filled"]

# The guide of each reason, by its name.
GUIDES: Final[dict[str, Guide]] = REQUESTS | TOKENS | PERMISSIONS | OUTAGES
