"""OData as Graph uses it: collections with pages, single objects, counts; members of request bodies."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlencode

from entra_guard.emulator._graph.errors import bad_request
from entra_guard.emulator._graph.queries import (
    filter_of,
    select,
    selected_names,
    sort_rows,
    system_options,
)
from entra_guard.emulator._graph.resource_types import resource_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entra_guard.emulator._graph.resource_types import ResourceType
    from entra_guard.emulator._http.messages import Request

Row = dict[str, Any]
DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 999


def object_in(body: Row, name: str) -> Row:
    """Return an object member of a request body; an empty object if it is missing.

    Raises:
        GraphRequestError: It is not an object.
    """
    part: Any = body.get(name) or {}
    if not isinstance(part, dict):
        raise bad_request(f"'{name}' must be an object.")
    return cast("Row", part)


def list_in(body: Row, name: str) -> Sequence[Any]:
    """Return a list member of a request body; an empty list if it is missing.

    Raises:
        GraphRequestError: It is not a list.
    """
    part: Any = body.get(name) or []
    if not isinstance(part, list):
        raise bad_request(f"'{name}' must be a list.")
    return cast("Sequence[Any]", part)


def collection(request: Request, context: str, rows: Sequence[Row], *, default: Sequence[str] = ()) -> Row:
    """Return one page of a collection, filtered, sorted and limited by the query.

    Args:
        request: The request with the query.
        context: The kind of rows, such as `users`.
        rows: All rows.
        default: The properties to return if none are selected; all by default.

    Raises:
        GraphRequestError: The query is not supported, or uses a property that the resource does not have.
    """
    kind = resource_type(context)
    query = system_options(request, kind)
    names, fits = selected_names(query, kind), filter_of(request, query, kind)
    found = sort_rows(request, query, kind, [row for row in rows if fits(row)])
    start, top = _page_start(query.get("$skiptoken")), _page_size(query.get("$top"))
    page = [_shown(row, names, kind, default) for row in found[start : start + top]]
    counted = {"@odata.count": len(found)} if query.get("$count") == "true" else {}
    more = {"@odata.nextLink": _next_link(request, query, start + top)} if start + top < len(found) else {}
    return {"@odata.context": _context_url(request, context, names), **counted, **more, "value": page}


class PlainText(str):
    """A response that is not JSON, such as the number of a `$count`."""

    __slots__ = ()


class Created(dict[str, Any]):
    """A response with the status 201, whatever the endpoint usually has."""


def count(request: Request, context: str, rows: Sequence[Row]) -> PlainText:
    """Return how many rows fit the query, as `/users/$count` does.

    Raises:
        GraphRequestError: The header that Graph requires for it is missing, or the filter is not valid.
    """
    if (request.header("consistencylevel") or "").lower() != "eventual":
        raise bad_request("$count is not currently supported. Send the header ConsistencyLevel: eventual.")
    kind = resource_type(context)
    fits = filter_of(request, system_options(request, kind), kind)
    return PlainText(sum(map(fits, rows)))


def entity(request: Request, context: str, row: Row, *, default: Sequence[str] = ()) -> Row:
    """Return one object: the properties that a GET request selects, otherwise the default ones, or all.

    Raises:
        GraphRequestError: The query is not supported, or uses a property that the resource does not have.
    """
    kind = resource_type(context)
    # What a POST request has created exists by now: its query is not read, so that it cannot fail.
    names = selected_names(system_options(request, kind), kind) if request.method == "GET" else []
    shown = _shown(row, names, kind, default)
    return {"@odata.context": f"{_context_url(request, context, names)}/$entity", **shown}


def _shown(row: Row, names: Sequence[str], kind: ResourceType, default: Sequence[str]) -> Row:
    wanted = names or default
    return select(row, wanted, kind) if wanted else row


def _context_url(request: Request, context: str, names: Sequence[str]) -> str:
    selected = f"({','.join(names)})" if names else ""
    return f"{request.base}/v1.0/$metadata#{context}{selected}"


def _page_size(given: str | None) -> int:
    if given is None:
        return DEFAULT_PAGE
    if not re.fullmatch("[0-9]{1,4}", given) or not 1 <= int(given) <= MAX_PAGE:
        raise bad_request(
            f"Invalid page size specified: '{given}'. Must be between 1 and {MAX_PAGE} inclusive."
        )
    return int(given)


def _page_start(token: str | None) -> int:
    """Return where a page begins. The token is opaque to clients."""
    if token is None:
        return 0
    try:
        return max(0, int(base64.urlsafe_b64decode(token)))
    except ValueError:
        raise bad_request("Invalid value specified for property 'skiptoken'.") from None


def _next_link(request: Request, query: dict[str, str], start: int) -> str:
    token = base64.urlsafe_b64encode(f"{start:08d}".encode()).decode()
    return f"{request.base}{request.path}?{urlencode({**query, '$skiptoken': token}, safe='$')}"
