"""OData as Graph uses it: collections with pages, `$select`, `$filter`, `$count`."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from entra_guard.emulator._http.messages import Request

Row = dict[str, Any]
DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 999
_SUPPORTED: Final = frozenset({"$select", "$filter", "$top", "$skiptoken", "$count"})
_EQUALS: Final = re.compile(r"(\w+) eq (?:'((?:[^']|'')*)'|(true|false|null))")
_ANY: Final = re.compile(r"(\w+)/any\((\w+):\s*\2 eq '((?:[^']|'')*)'\)")
_STARTS: Final = re.compile(r"startswith\((\w+),\s*'((?:[^']|'')*)'\)")


class GraphRequestError(Exception):
    """Graph refuses the request.

    Args:
        status: The HTTP status.
        code: Graph's error code.
        message: Graph's error message.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers: tuple[tuple[str, str], ...] = ()


def bad_request(message: str) -> GraphRequestError:
    return GraphRequestError(400, "Request_BadRequest", message)


def missing(identifier: str) -> GraphRequestError:
    """Return Graph's error for an object that does not exist, or that the caller may not see."""
    words = "does not exist or one of its queried reference-property objects are not present."
    return GraphRequestError(404, "Request_ResourceNotFound", f"Resource '{identifier}' {words}")


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
    """Return one page of a collection, filtered and limited by the query.

    Args:
        request: The request with the query.
        context: The kind of rows, such as `users`.
        rows: All rows.
        default: The properties to return if none are selected; all by default.

    Raises:
        GraphRequestError: The query is not supported.
    """
    query = {name: value for name, value in request.parameters().items() if name.startswith("$")}
    unknown = sorted(set(query) - _SUPPORTED)
    if unknown:
        raise GraphRequestError(
            400,
            "Request_UnsupportedQuery",
            f"The emulator does not support {', '.join(unknown)}, only {', '.join(sorted(_SUPPORTED))}.",
        )
    fits = _parse_filter(query.get("$filter", ""))
    found = [row for row in rows if fits(row)]
    start, top = _page_start(query.get("$skiptoken")), _page_size(query.get("$top"))
    page = [select(row, query.get("$select"), default) for row in found[start : start + top]]
    counted = {"@odata.count": len(found)} if query.get("$count") == "true" else {}
    more = {"@odata.nextLink": _next_link(request, query, start + top)} if start + top < len(found) else {}
    return {"@odata.context": f"{request.base}/v1.0/$metadata#{context}", **counted, **more, "value": page}


class PlainText(str):
    """A response that is not JSON, such as the number of a `$count`."""

    __slots__ = ()


class Created(dict[str, Any]):
    """A response with the status 201, whatever the endpoint usually has."""


def count(request: Request, rows: Sequence[Row]) -> PlainText:
    """Return how many rows fit the query, as `/users/$count` does.

    Raises:
        GraphRequestError: The header that Graph requires for it is missing.
    """
    if (request.header("consistencylevel") or "").lower() != "eventual":
        raise bad_request("$count is not currently supported. Send the header ConsistencyLevel: eventual.")
    fits = _parse_filter(request.parameters().get("$filter", ""))
    return PlainText(sum(map(fits, rows)))


def entity(request: Request, context: str, row: Row, *, default: Sequence[str] = ()) -> Row:
    """Return one object with the properties that the query selects."""
    chosen = select(row, request.parameters().get("$select"), default)
    return {"@odata.context": f"{request.base}/v1.0/$metadata#{context}/$entity", **chosen}


def select(row: Row, selected: str | None, default: Sequence[str]) -> Row:
    """Return the selected properties; otherwise the default ones, or all."""
    names = [name.strip() for name in selected.split(",")] if selected else list(default)
    return {name: row[name] for name in names if name in row} if names else row


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


def _parse_filter(text: str) -> Callable[[Row], bool]:
    """Parse `property eq 'value'`, `startswith(property,'value')` and `list/any(x:x eq 'value')`."""
    tests = [_condition(part.strip()) for part in re.split(r"\sand\s", text)] if text else []
    return lambda row: all(test(row) for test in tests)


def _condition(part: str) -> Callable[[Row], bool]:
    equals, starts, contains = (form.fullmatch(part) for form in (_EQUALS, _STARTS, _ANY))
    if equals:
        name, quoted, plain = equals.groups()
        wanted = {"true": True, "false": False, "null": None}[plain] if plain else quoted.replace("''", "'")
        return lambda row: bool(row.get(name) == wanted)
    if starts:
        name, prefix = starts.group(1), starts.group(2).replace("''", "'").lower()
        return lambda row: str(row.get(name) or "").lower().startswith(prefix)
    if contains:
        listed, item = contains.group(1), contains.group(3).replace("''", "'")
        return lambda row: item in (row.get(listed) or ())
    raise GraphRequestError(
        400,
        "Request_UnsupportedQuery",
        "The emulator supports 'eq', 'startswith' and 'any' in $filter, joined by 'and'.",
    )
