"""Where Microsoft Graph is served. What serves it is imported with the first request for it."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "/v1.0"
USER_INFO: Final = "/oidc/userinfo"
