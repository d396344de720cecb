"""The examples in the docstrings run, with the package's public names imported."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
from pathlib import Path
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI
from starlette.routing import Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import entra_guard
import entra_guard.credentials
import entra_guard.graph
from entra_guard.asgi import GuardMiddleware
from entra_guard.emulator import Emulator

ROOT = Path(entra_guard.__file__).parent
PATHS = {
    ".".join(("entra_guard", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


def is_importable(name: str) -> bool:
    """Return whether neither settings nor a package of one version is needed. To look into mcp imports it."""
    if name.startswith("entra_guard.cli.demo._mcp_"):
        return bool(importlib.util.find_spec("mcp") and importlib.util.find_spec("mcp.server.mcpserver"))
    return name not in ("entra_guard.django", "entra_guard.drf")


# Their examples need a file, a service, or a package of one version.
NOT_RUN = {
    "entra_guard._common.boundary.detach",
    "entra_guard.credentials._azure.AsyncCredential",
    "entra_guard.credentials._cache.redis_tokens.RedisTokens",
    "entra_guard.credentials._certificate.CertificateCredential",
    "entra_guard.graph._client.GraphClient",
    "entra_guard.graph._client.GraphClient.batch",
    "entra_guard.mcp._fastmcp.guard_auth_provider",
    "entra_guard.mcp._on_behalf_of.on_behalf_of",
    "entra_guard.mcp._verifier.GuardTokenVerifier",
}


@pytest.fixture
def names(entra):
    """What the examples take for granted: an application with its guard, a caller, a credential."""
    user = {"user": "alice", "scopes": ["access_as_user"]}
    credential = entra.credential()
    packages = (entra_guard, entra_guard.credentials, entra_guard.graph)
    public = {word: getattr(package, word) for package in packages for word in package.__all__}
    return public | {
        "Emulator": Emulator,
        "entra": Emulator(seed=1),
        "guard": entra.guard(),
        "principal": entra.principal(roles=["Orders.Read"]),
        "request_token": entra.token(**user),
        "credential": credential,
        "application": credential,
        "blueprint": credential,
        "scope": "https://graph.microsoft.com/.default",
        "tenant_id": credential.tenant_id,
        "client_id": entra.caller.client_id,
        "client_secret": "only-for-this-test",
        "app": FastAPI(),
        "server": FastAPI(),
        "Annotated": Annotated,
        "GuardMiddleware": GuardMiddleware,
        "DispatcherMiddleware": DispatcherMiddleware,
        "FastAPI": FastAPI,
        "Depends": Depends,
        "Route": Route,
        "httpx": httpx,
    }


def test_every_module_is_imported() -> None:
    for name in filter(is_importable, PATHS):
        importlib.import_module(name)


@pytest.mark.parametrize(
    "name",
    [name for name, path in PATHS.items() if ">>> " in path.read_text("utf-8") and is_importable(name)],
)
def test_the_examples_run(name, names):
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    for example in finder.find(module, name, extraglobs=names):
        # To run a docstring without examples is slow: it looks at each file with cached lines.
        if example.examples and example.name not in NOT_RUN:
            runner.run(example)
    assert runner.failures == 0
