"""The `iss` values of the emulator's tenants."""

from __future__ import annotations


def issuer_v2(base: str, tenant_id: str) -> str:
    return f"{base}/{tenant_id}/v2.0"


def issuer_v1(base: str, tenant_id: str) -> str:
    """Return the issuer of v1.0 tokens. Entra's host is `sts.windows.net`; here it is the emulator's."""
    return f"{base}/{tenant_id}/"
