"""The version of this package, and how its requests name themselves."""

from typing import Final

__version__ = "0.1.0"  # hatch reads this line, and does not understand an annotation

# The product token of our requests (RFC 9110 section 10.1.5).
PRODUCT: Final = f"entra-guard/{__version__}"


def user_agent(client: object) -> str:
    """Return the User-Agent for a request of a client: an application's own name stays in front of ours.

    Example:
        >>> import httpx
        >>> user_agent(httpx.Client(headers={"user-agent": "contoso-orders/2.1"})).split()[0]
        'contoso-orders/2.1'
    """
    usual = str(getattr(client, "headers", {}).get("user-agent", ""))
    is_default = not usual or usual.startswith(("python-httpx/", "python-httpx2/"))
    return PRODUCT if is_default or PRODUCT in usual else f"{usual} {PRODUCT}"
