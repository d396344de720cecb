"""A principal as a value: equal copies, and what encoders write of it."""

from __future__ import annotations

import copy
import pickle
import weakref
from typing import TYPE_CHECKING

import msgspec
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard import Principal
    from entra_guard.testing import Entra

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda principal: pickle.loads(pickle.dumps(principal)),
}


@pytest.fixture
def principal(entra: Entra) -> Principal:
    return entra.guard().verify(entra.token())


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_a_principal_equals_the_original(principal: Principal, name: str) -> None:
    copied = COPIES[name](principal)
    assert copied == principal
    assert hash(copied) == hash(principal)
    assert {principal: "found"}[copied] == "found"
    assert weakref.ref(copied)() is copied


def test_the_same_token_gives_equal_principals_and_another_does_not(entra: Entra) -> None:
    guard, token = entra.guard(), entra.token()
    first, again, other = (
        guard.verify(token),
        guard.verify(token),
        guard.verify(entra.token(scopes=["Orders.Read"])),
    )
    assert first == again
    assert first != other
    assert first != first.as_dict()
    assert first != msgspec.structs.replace(first, resolved_groups=("admins",))


@pytest.mark.parametrize("encode", [msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins])
def test_msgspec_writes_what_as_dict_shows_and_never_the_fields(
    principal: Principal, encode: Callable[[object], object]
) -> None:
    assert encode(principal.as_dict())
    with pytest.raises(TypeError, match="slice"):
        encode(principal)
