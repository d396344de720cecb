"""Fixtures for Graph: an Entra whose caller may use Graph, and one function for sync and async calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from graph_entra import GraphEntra

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graph_entra import Call


@pytest.fixture
def entra() -> Iterator[GraphEntra]:
    with GraphEntra() as entra, entra.http_client:
        yield entra


def _sync(graph: Any, method: str, *args: Any, **options: Any) -> Any:
    result = getattr(graph, method)(*args, **options)
    return list(result) if method == "iterate" else result


def _asyncio(graph: Any, method: str, *args: Any, **options: Any) -> Any:
    async def call() -> Any:
        result = getattr(graph, f"a{method}")(*args, **options)
        return [item async for item in result] if method == "iterate" else await result

    return asyncio.run(call())


@pytest.fixture(params=[_sync, _asyncio], ids=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Call a method by its name: synchronously, and on asyncio."""
    return request.param
