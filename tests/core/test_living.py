"""Objects are collected while they live, and can be read while others are added."""

from __future__ import annotations

import gc

from entra_guard._common.living import Living


class Thing:
    __hash__ = None  # type: ignore[assignment]  # not even that is needed


def test_objects_may_be_added_while_they_are_read() -> None:
    things = [Thing() for _ in range(3)]
    living: Living[Thing] = Living()
    for thing in things:
        living.add(thing)
    for _ in living:
        things.append(Thing())
        living.add(things[-1])
    assert len([*living]) == 6


def test_an_object_is_there_once_and_as_long_as_it_lives() -> None:
    living: Living[Thing] = Living()
    thing = Thing()
    living.add(thing)
    living.add(thing)
    assert [*living] == [thing]
    reading = iter(living)
    del thing
    gc.collect()
    assert [*reading] == [*living] == []
