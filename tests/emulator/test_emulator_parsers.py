"""Parsers return what clients encoded, and accept any input without an unexpected error."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entra_guard.emulator._http.messages import MAX_FIELDS, parse_basic, parse_form

text = st.text(st.characters(exclude_categories=["Cs"]))
names = text.filter(bool)


@given(st.dictionaries(text, text, max_size=20))
def test_a_form_is_parsed_as_it_was_encoded(fields: dict[str, str]) -> None:
    assert parse_form(urlencode(fields)) == fields


@given(text)
def test_any_text_can_be_parsed_as_a_form(anything: str) -> None:
    assert all(isinstance(value, str) for value in parse_form(anything).values())


@given(names, text, text)
def test_the_first_value_of_a_repeated_field_is_used(name: str, first: str, second: str) -> None:
    assert parse_form(urlencode([(name, first), (name, second)]))[name] == first


def test_a_form_with_too_many_fields_is_refused() -> None:
    with pytest.raises(ValueError, match="fields"):
        parse_form("a=1&" * (MAX_FIELDS + 1))


@given(names, names, st.sampled_from(["Basic", "basic", "BASIC"]))
def test_basic_credentials_are_parsed_as_they_were_encoded(name: str, secret: str, scheme: str) -> None:
    pair = f"{quote(name, safe='')}:{quote(secret, safe='')}"
    assert parse_basic(f"{scheme} {b64encode(pair.encode()).decode()}") == (name, secret)


@given(text)
def test_any_text_is_parsed_as_basic_credentials_or_none(anything: str) -> None:
    for header in (anything, f"Basic {anything}"):
        found = parse_basic(header)
        assert found is None or len(found) == 2


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !", "Basic bm9jb2xvbg==", "Bearer YTpi", "Basic /w==", "Basic YTpi YTpi"]
)
def test_a_malformed_basic_header_is_none(header: str) -> None:
    assert parse_basic(header) is None
