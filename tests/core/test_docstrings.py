"""The examples in the docstrings run, with the package's public names imported."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
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

HAS_MCP_2 = bool(importlib.util.find_spec("mcp") and importlib.util.find_spec("mcp.server.mcpserver"))
MODULES = [
    module.name
    for module in pkgutil.walk_packages(entra_guard.__path__, "entra_guard.")
    if module.name.split(".")[1] not in ("django", "drf")  # these need settings to be imported
    and (HAS_MCP_2 or not module.name.startswith("entra_guard.cli.demo._mcp_"))
]


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


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name, names):
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    for example in finder.find(module, name, extraglobs=names):
        # To run a docstring without examples is slow: it looks at each file with cached lines.
        if example.examples and example.name not in NOT_RUN:
            runner.run(example)
    assert runner.failures == 0
