"""Follow the pages of a collection of Microsoft Graph. Pure (Microsoft: "Paging Microsoft Graph data")."""

from __future__ import annotations

from typing import Any, Final

from entra_guard.credentials._origin import origin_of
from entra_guard.graph._errors import GraphError
from entra_guard.graph._urls import leads_to

# Graph returns pages without items where a filter applies after paging, but not in any such number.
_MOST_EMPTY_PAGES: Final = 100


def items_of(page: Any) -> list[Any]:
    """Return the items of one page.

    Raises:
        GraphError: It is not a page of a collection.
    """
    value: Any = page.get("value") if isinstance(page, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(value, list):
        raise GraphError(0, "no_collection", "the response is not a collection: use get() for one object")
    return value  # pyright: ignore[reportUnknownVariableType]


class PageTrail:
    """The pages that were read: refuses links to another host, in a circle, or to empty pages without end."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._empty = 0

    def next_url(self, page: Any, url: str) -> str | None:
        """Return the URL of the next page, or None after the last one.

        Args:
            page: This page.
            url: The URL that it was read from.

        Raises:
            GraphError: The link leads to another host, where the token must not go, or does not end.
        """
        link = page.get("@odata.nextLink")
        if link is None:
            return None
        if not isinstance(link, str) or not leads_to(link, url):
            raise GraphError(0, "foreign_next_link", f"@odata.nextLink leads to another host ({_host(link)})")
        self._seen.add(url)
        if link in self._seen:
            raise GraphError(0, "circular_next_link", "@odata.nextLink leads to a page that was read before")
        self._empty = 0 if items_of(page) else self._empty + 1
        if self._empty >= _MOST_EMPTY_PAGES:
            raise GraphError(0, "endless_pages", f"{self._empty} pages in a row were empty, and link to more")
        return link


def _host(link: Any) -> str:
    try:
        return origin_of(str(link)).host or "none"
    except ValueError:
        return "none"
