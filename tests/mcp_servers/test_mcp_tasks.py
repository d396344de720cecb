"""Background tasks behind `protect`: a task is its caller's alone, in each SDK that has tasks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from mcp_caller import text_of
from mcp_processes import HERE, WITH_TASKS, Server, run, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mcp_caller import McpCaller

SECRET = "the secret"


@pytest.fixture(scope="session", params=WITH_TASKS)
def with_tasks(request, entra) -> Iterator[Server]:
    yield from serve(request.param, "mcp_tasks", entra)


class Extension:
    """A client of the tasks extension of protocol version 2026-07-28, which fastmcp 4.x has. No sessions."""

    methods = ("tasks/get", "tasks/update", "tasks/cancel")
    result = "tasks/get"

    def __init__(self, caller: McpCaller) -> None:
        self.caller = caller

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        headers, body = self.caller.modern(method, **params)
        capabilities = body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
        capabilities["extensions"] = {"io.modelcontextprotocol/tasks": {}}
        return self.caller.client.post(self.caller.url, json=body, headers=headers).json()

    def start(self, tool: str) -> str:
        return self.request("tools/call", name=tool, arguments={})["result"]["taskId"]


class InSession:
    """A client of the tasks of protocol version 2025-11-25, which SDK 1.x and fastmcp 2.x have."""

    methods = ("tasks/get", "tasks/result", "tasks/cancel")
    result = "tasks/result"

    def __init__(self, caller: McpCaller) -> None:
        self.caller = caller.open()

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        return self.caller.request(method, **params)

    def start(self, tool: str) -> str:
        task = {"ttl": 60_000}
        result = self.request("tools/call", name=tool, arguments={}, task=task)["result"]
        return (result.get("task") or result["_meta"]["modelcontextprotocol.io/task"])["taskId"]


@pytest.fixture
def clients(with_tasks, entra, caller) -> Callable[..., Any]:
    kind = InSession if with_tasks.line == "mcp1" else Extension

    def client(server: str, user: str | None = "alice", role: str = "Tasks.Read", **more: Any) -> Any:
        if server == "sdk" and with_tasks.line != "mcp1":
            pytest.skip("SDK 2.x has no tasks")
        return kind(caller(f"{with_tasks.url}/{server}/mcp", entra.token(user, role, **more)))

    return client


def result_of(client: Any, task: str) -> str:
    """Return the response with the result of a task, when it has ended."""
    deadline = time.monotonic() + 20
    while (got := client.request("tasks/get", taskId=task))["result"]["status"] == "working":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return str(got if client.result == "tasks/get" else client.request(client.result, taskId=task))


@pytest.mark.parametrize("server", ["fastmcp", "sdk"])
def test_a_task_is_its_caller_s(clients, entra, server):
    alice = clients(server)
    task = alice.start("background")
    others = [
        clients(server, "bob", "Tasks.Write"),
        clients(server, None),
        clients(server, app=entra.other_client),
    ]
    for other in others:
        for method in other.methods:
            more = {"inputResponses": {}} if method == "tasks/update" else {}
            refused = other.request(method, taskId=task, **more)
            assert "not found" in text_of(refused).lower(), refused
            assert refused["error"] == {**refused["error"], "code": -32602}
        if "tasks/result" in other.methods:
            assert other.request("tasks/list")["result"]["tasks"] == []
    assert SECRET in result_of(alice, task)


def test_a_task_s_tool_needs_what_it_requires_and_does_not_run_without_a_caller(clients):
    reader, writer = clients("fastmcp"), clients("fastmcp", role="Tasks.Write")
    call = {"name": "background_secret", "arguments": {}, "task": {"ttl": 60_000}}
    assert reader.caller.post("tools/call", **call).status_code == 403
    result = result_of(writer, writer.start("background_secret"))
    assert SECRET not in result
    assert "no current principal" in result


def test_a_task_acts_for_no_one(clients):
    alice = clients("fastmcp")
    assert "there is no token here to exchange" in result_of(alice, alice.start("next_api"))


def test_a_task_ends_for_a_caller_whose_token_has_expired(clients, entra):
    alice = clients("fastmcp")
    task = alice.start("background")
    alice.caller.token = entra.token("alice", preset="expired")
    assert alice.caller.post("tasks/get", taskId=task).status_code == 401


def test_tasks_without_an_owner_are_refused_when_the_server_is_built(entra):
    assert "exclude each other" in run("mcp1", HERE / "mcp_stateless_tasks.py", entra)
