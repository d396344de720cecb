"""Parse `$filter`: comparisons and `startswith`, `endswith`, `any`, joined by `and`, `or`, `not`, brackets.

Source: Microsoft Graph, "Advanced query capabilities on Microsoft Entra ID objects", for what needs the
header `ConsistencyLevel: eventual` and `$count=true`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._graph.errors import malformed, unsupported_query
from entra_guard.emulator._store.ids import is_guid

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.emulator._graph.resource_types import ResourceType

Row = dict[str, Any]
_TOKEN: Final = re.compile(r"\s*(?:('(?:[^']|'')*')|([\w$.-]+(?:/\w+)*)|([(),:])|(\S))")
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_MOST_TOKENS: Final = 200
_ADVANCED: Final = (
    "is not supported because the required parameters might be missing. Try adding $count=true query "
    "parameter and ConsistencyLevel:eventual header. Refer to "
    "https://aka.ms/graph-docs/advanced-queries for more information"
)


def parse_filter(text: str, kind: ResourceType, *, advanced: bool) -> Callable[[Row], bool]:
    """Return the test of a `$filter`.

    Args:
        text: The value of `$filter`; an empty one accepts every row.
        kind: The type of the rows.
        advanced: The request has what Graph requires for advanced queries.

    Raises:
        GraphRequestError: The text is malformed, uses a property that the type does not have, or an operator
            that is not supported.
    """
    if not text:
        return lambda _row: True
    parser = _Parser(_tokens(text), kind, advanced=advanced)
    test = parser.alternatives()
    parser.expect_end()
    return test


def _tokens(text: str) -> list[str]:
    found = [match[1] or match[2] or match[3] or match[4] for match in _TOKEN.finditer(text)]
    if len(found) > _MOST_TOKENS:
        raise unsupported_query("The $filter is too long.")
    return found


class _Parser:
    """A recursive descent parser of one filter."""

    def __init__(self, tokens: list[str], kind: ResourceType, *, advanced: bool) -> None:
        self._tokens = tokens
        self._next = 0
        self._kind = kind
        self._advanced = advanced

    def alternatives(self) -> Callable[[Row], bool]:
        tests = [self._conjunction()]
        while self._skip("or"):
            tests.append(self._conjunction())
        return lambda row: any(test(row) for test in tests)

    def expect_end(self) -> None:
        if self._next < len(self._tokens):
            raise self._unsupported()

    def _conjunction(self) -> Callable[[Row], bool]:
        tests = [self._condition()]
        while self._skip("and"):
            tests.append(self._condition())
        return lambda row: all(test(row) for test in tests)

    def _condition(self) -> Callable[[Row], bool]:
        if self._skip("not"):
            self._require_advanced("not")
            negated = self._condition()
            return lambda row: not negated(row)
        if self._skip("("):
            inner = self.alternatives()
            self._expect(")")
            return inner
        word = self._take()
        if word.lower() in {"startswith", "endswith"} and self._peek() == "(":
            return self._affix(word.lower())
        if word.lower().endswith("/any"):
            return self._any(word[: -len("/any")])
        return self._comparison(word)

    def _affix(self, function: str) -> Callable[[Row], bool]:
        if function == "endswith":
            self._require_advanced("endsWith")
        self._expect("(")
        name = self._property(self._take())
        self._expect(",")
        wanted = self._text().lower()
        self._expect(")")
        starts = function == "startswith"

        def fits(row: Row) -> bool:
            value = str(row.get(name) or "").lower()
            return value.startswith(wanted) if starts else value.endswith(wanted)

        return fits

    def _any(self, listed: str) -> Callable[[Row], bool]:
        name = self._property(listed)
        self._expect("(")
        variable = self._take()
        for token in (":", variable, "eq"):
            self._expect(token)
        item = self._text()
        self._expect(")")
        return lambda row: item in (row.get(name) or ())

    def _comparison(self, word: str) -> Callable[[Row], bool]:
        name, operator = self._property(word), self._take().lower()
        if operator == "in":
            return self._membership(name)
        if operator not in {"eq", "ne"}:
            raise self._unsupported()
        wanted = self._value(name)
        if operator == "eq":
            return lambda row: _same(row.get(name), wanted)
        if not self._advanced:
            raise unsupported_query("Unsupported property filter clause operator 'NotEqualsMatch'.")
        return lambda row: not _same(row.get(name), wanted)

    def _membership(self, name: str) -> Callable[[Row], bool]:
        self._expect("(")
        wanted = [self._value(name)]
        while self._skip(","):
            wanted.append(self._value(name))
        self._expect(")")
        return lambda row: any(_same(row.get(name), one) for one in wanted)

    def _value(self, name: str) -> Any:
        """Return a literal: a string, a GUID or a constant."""
        token = self._take()
        if token.startswith("'"):
            if name in self._kind.guids:
                raise malformed(
                    "Invalid filter clause: A binary operator with incompatible types was detected. Found "
                    "operand types 'Edm.Guid' and 'Edm.String' for operator kind 'Equal'."
                )
            return _unquoted(token)
        if is_guid(token):
            return token
        if token.lower() in _CONSTANTS:
            return _CONSTANTS[token.lower()]
        raise self._unsupported()

    def _text(self) -> str:
        token = self._take()
        if not token.startswith("'"):
            raise self._unsupported()
        return _unquoted(token)

    def _property(self, word: str) -> str:
        name = self._kind.find(word)
        if name is not None:
            return name
        if not re.fullmatch(r"[A-Za-z]\w*", word):
            raise self._unsupported()
        if self._kind.is_open:
            raise unsupported_query(
                f"Unsupported or invalid query filter clause specified for property '{word}' of resource "
                f"'{self._kind.directory_name}'."
            )
        raise malformed(
            f"Invalid filter clause: Could not find a property named '{word}' on type "
            f"'{self._kind.full_name}'."
        )

    def _require_advanced(self, operator: str) -> None:
        if not self._advanced:
            raise unsupported_query(f"Operator '{operator}' {_ADVANCED}")

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        if not token:
            raise self._unsupported()
        self._next += 1
        return token

    def _skip(self, token: str) -> bool:
        """Take the next token if it is this one, in any case."""
        found = self._peek().lower() == token
        self._next += found
        return found

    def _expect(self, token: str) -> None:
        if self._take().lower() != token.lower():
            raise self._unsupported()

    @staticmethod
    def _unsupported() -> Exception:
        return unsupported_query(
            "The emulator supports 'eq', 'ne', 'in', 'startswith', 'endswith' and 'any' in $filter, joined "
            "by 'and', 'or', 'not' and brackets."
        )


def _unquoted(token: str) -> str:
    return token[1:-1].replace("''", "'")


def _same(value: Any, wanted: Any) -> bool:
    """Compare as the directory does: strings without regard to case."""
    if isinstance(value, str) and isinstance(wanted, str):
        return value.casefold() == wanted.casefold()
    return bool(value == wanted)
