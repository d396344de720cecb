"""Where a collection of Microsoft Graph goes on. Pure (Microsoft: "Paging Microsoft Graph data")."""

from __future__ import annotations

from typing import Any

from entra_guard.credentials._origin import origin_of
from entra_guard.graph._errors import GraphError
from entra_guard.graph._urls import leads_to


def items_of(page: Any) -> list[Any]:
    """The items of one page.

    Raises:
        GraphError: It is no page of a collection.
    """
    value: Any = page.get("value") if isinstance(page, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(value, list):
        raise GraphError(0, "no_collection", "the answer is no collection: use get() for a single object")
    return value  # pyright: ignore[reportUnknownVariableType]


def next_page(page: Any, url: str, seen: set[str]) -> str | None:
    """The URL of the next page, which must be on the host of this one and not a page seen before, or None.

    Args:
        page: This page.
        url: Where it came from.
        seen: The pages before; this one is added.

    Raises:
        GraphError: The link leads elsewhere, or in a circle: the token must not follow.
    """
    link = page.get("@odata.nextLink")
    if link is None:
        return None
    if not isinstance(link, str) or not leads_to(link, url):
        raise GraphError(0, "foreign_next_link", f"@odata.nextLink leads to another host ({_host(link)})")
    seen.add(url)
    if link in seen:
        raise GraphError(0, "circular_next_link", "@odata.nextLink leads to a page that was there before")
    return link


def _host(link: Any) -> str:
    try:
        return origin_of(str(link)).host or "none"
    except ValueError:
        return "none"
