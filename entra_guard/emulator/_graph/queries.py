"""What a query of Graph selects, filters, sorts and expands, checked against the resource type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._graph.errors import malformed, unsupported_query
from entra_guard.emulator._graph.filters import parse_filter
from entra_guard.emulator._graph.resource_types import type_of_row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from entra_guard.emulator._graph.resource_types import ResourceType
    from entra_guard.emulator._http.messages import Request

Row = dict[str, Any]
SUPPORTED: Final = frozenset({"$select", "$filter", "$orderby", "$top", "$skiptoken", "$count"})
_NAME: Final = re.compile(r"[A-Za-z]\w*")
_SORTED_BY: Final = frozenset({"displayName", "userPrincipalName"})
_NOT_PARSED: Final = "Parsing OData Select and Expand failed:"


def system_options(request: Request, kind: ResourceType) -> dict[str, str]:
    """Return the query options that begin with `$`.

    Raises:
        GraphRequestError: `$expand` names something that Graph does not have, or the emulator does not
            support one of the options.
    """
    query = {name: value for name, value in request.parameters().items() if name.startswith("$")}
    _check_expanded(query.get("$expand", ""), kind)
    unknown = sorted(set(query) - SUPPORTED)
    if unknown:
        raise unsupported_query(
            f"The emulator does not support {', '.join(unknown)}, only {', '.join(sorted(SUPPORTED))}."
        )
    return query


def filter_of(request: Request, query: dict[str, str], kind: ResourceType) -> Callable[[Row], bool]:
    """Return the test of the query's `$filter`.

    Raises:
        GraphRequestError: The filter is malformed, not supported, or uses an unknown property.
    """
    return parse_filter(query.get("$filter", ""), kind, advanced=_is_advanced(request, query))


def sort_rows(request: Request, query: dict[str, str], kind: ResourceType, rows: list[Row]) -> list[Row]:
    """Return the rows in the order of the query's `$orderby`.

    Raises:
        GraphRequestError: Graph does not sort by this property, or not together with the filter.
    """
    wanted = query.get("$orderby", "").strip()
    if not wanted:
        return rows
    keys = [_sort_key(part, kind) for part in wanted.split(",")]
    if query.get("$filter") and not _is_advanced(request, query):
        raise unsupported_query("Sorting not supported for current query.")
    for name, descending in reversed(keys):
        rows = sorted(rows, key=lambda row: str(row.get(name) or "").casefold(), reverse=descending)
    return rows


def _sort_key(part: str, kind: ResourceType) -> tuple[str, bool]:
    """Return a property to sort by, and whether the order is descending."""
    word, _, direction = part.strip().partition(" ")
    name = kind.find(word)
    if name is None and not kind.is_open:
        raise malformed(f"Could not find a property named '{word}' on type '{kind.full_name}'.")
    if name not in _SORTED_BY:
        raise unsupported_query(f"Unsupported sort property '{word}' for '{kind.directory_name}'.")
    if direction.strip().lower() not in {"", "asc", "desc"}:
        raise malformed(f"Syntax error at position {len(part)} in '{part}'.")
    return name, direction.strip().lower() == "desc"


def _is_advanced(request: Request, query: dict[str, str]) -> bool:
    """Return whether the request has what Graph requires for advanced queries."""
    counted = query.get("$count", "").lower() == "true" or request.path.endswith("/$count")
    return counted and (request.header("consistencylevel") or "").lower() == "eventual"


def selected_names(query: dict[str, str], kind: ResourceType) -> list[str]:
    """Return the properties that `$select` names, as the type declares them; none if all are selected.

    Graph's directory types are open: it may ignore a name that it does not know. The emulator refuses it with
    the error of Graph's other types, so that a misspelt property is found in a test. Names of extensions,
    which have an underscore, are accepted.

    Raises:
        GraphRequestError: The type has no such property.
    """
    words = [word.strip() for word in query.get("$select", "").split(",")]
    names = [_selected_name(word, kind) for word in words if word]
    return [] if "*" in names else names


def _selected_name(word: str, kind: ResourceType) -> str:
    if word == "*":
        return word
    if not _NAME.fullmatch(word):
        raise malformed(f"{_NOT_PARSED} Term '{word}' is not valid in a $select or $expand expression.")
    name = kind.find(word)
    if name is not None:
        return name
    if kind.is_open and "_" in word:
        return word
    raise malformed(f"{_NOT_PARSED} Could not find a property named '{word}' on type '{kind.full_name}'.")


def select(row: Row, names: Sequence[str], kind: ResourceType) -> Row:
    """Return the selected properties of a row: those without a value are null, as Graph returns them."""
    own = type_of_row(row, kind)
    chosen = {"@odata.type": row["@odata.type"]} if "@odata.type" in row else {}
    for name in names:
        if name in row:
            chosen[name] = row[name]
        elif name in own.values or name in own.lists:
            chosen[name] = own.empty(name)
    return chosen


def _check_expanded(text: str, kind: ResourceType) -> None:
    word = re.split(r"[(,/]", text, maxsplit=1)[0].strip()
    if word in {"", "*"}:
        return
    name = kind.find(word)
    if name is None:
        raise malformed(f"{_NOT_PARSED} Could not find a property named '{word}' on type '{kind.full_name}'.")
    if name not in kind.navigation:
        raise malformed(
            f"{_NOT_PARSED} Property '{name}' on type '{kind.full_name}' is not a navigation property or "
            "complex property. Only navigation properties can be expanded."
        )
