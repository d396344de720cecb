"""A client of MCP servers that sends any message with any token: for what an SDK's client would not do."""

from __future__ import annotations

import json
import threading
from itertools import count
from queue import Queue
from typing import TYPE_CHECKING, Any, ClassVar, Self

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

_ids = count(1)


def events_of(lines: Any) -> Any:
    """Yield the events of an event stream as dicts of their fields."""
    event: dict[str, str] = {}
    for line in lines:
        if line:
            name, _colon, value = line.partition(":")
            event[name] = value.strip()
        elif event:
            yield event
            event = {}


class McpCaller:
    """One caller of an MCP server, in a session or without one."""

    _open: ClassVar[list[McpCaller]] = []

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.session = ""
        self.client = httpx.Client(timeout=60, trust_env=False)
        self._open.append(self)

    @classmethod
    def close_all(cls) -> None:
        while cls._open:
            cls._open.pop().client.close()

    def headers(self, **more: str) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json, text/event-stream"}
        if self.session:
            headers["Mcp-Session-Id"] = self.session
        return headers | more

    def post(self, method: str, *, notification: bool = False, **params: Any) -> httpx.Response:
        body = {"jsonrpc": "2.0", "method": method, "params": params}
        if not notification:
            body["id"] = next(_ids)
        return self.client.post(self.url, json=body, headers=self.headers())

    def open(self) -> Self:
        """Open a session, as an SDK's client does."""
        info = {"name": "test", "version": "1"}
        able = {"elicitation": {}}
        response = self.post("initialize", protocolVersion="2025-06-18", capabilities=able, clientInfo=info)
        assert response.status_code == 200, response.text
        self.session = response.headers.get("mcp-session-id", "")
        assert self.post("notifications/initialized", notification=True).status_code == 202
        return self

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        response = self.post(method, **params)
        assert response.status_code == 200, response.text
        if response.headers["content-type"].startswith("text/event-stream"):
            return next(
                message
                for event in events_of(response.text.splitlines())
                if event.get("data") and "id" in (message := json.loads(event["data"]))
            )
        return response.json()

    def answer(self, request: object, value: str) -> int:
        """Answer a question that the server asked this client, or another one, and return the status."""
        result = {"action": "accept", "content": {"value": value}}
        body = {"jsonrpc": "2.0", "id": request, "result": result}
        return self.client.post(self.url, json=body, headers=self.headers()).status_code

    def modern(self, method: str, **params: Any) -> tuple[dict[str, str], dict[str, Any]]:
        """Return the headers and body of a request without a session (protocol version 2026-07-28)."""
        version = "2026-07-28"
        prefix = "io.modelcontextprotocol/"
        meta = {f"{prefix}protocolVersion": version, f"{prefix}clientCapabilities": {}}
        headers = self.headers() | {"MCP-Protocol-Version": version, "Mcp-Method": method}
        for name in ("name", "uri"):
            if name in params:
                headers["Mcp-Name"] = params[name]
        body = {"jsonrpc": "2.0", "id": next(_ids), "method": method, "params": {**params, "_meta": meta}}
        return headers, body

    def subscribe(self, accept: str = "", **wanted: Any) -> list[dict[str, Any]]:
        """Open a subscription, and return its messages until the server ends it."""
        headers, body = self.modern("subscriptions/listen", notifications=wanted)
        if accept:
            headers["Accept"] = accept
        with self.client.stream("POST", self.url, json=body, headers=headers) as stream:
            assert stream.status_code == 200, stream.read()
            events = events_of(stream.iter_lines())
            return [json.loads(event["data"]) for event in events if event.get("data")]

    def call(self, tool: str, **arguments: Any) -> str:
        """Call a tool, and return its text or the error's."""
        return text_of(self.request("tools/call", name=tool, arguments=arguments))

    def listen(self, last_event: str = "", accept: str = "") -> Iterator[dict[str, str]]:
        """Open the session's GET stream, and yield its events until the server ends it."""
        headers = self.headers() | ({"Last-Event-ID": last_event} if last_event else {})
        if accept:
            headers["Accept"] = accept
        with self.client.stream("GET", self.url, headers=headers) as stream:
            assert stream.status_code == 200
            yield from (event for event in events_of(stream.iter_lines()) if event.get("data"))

    def joining(self, other: McpCaller) -> Self:
        """Use another's session with this caller's own token."""
        self.session = other.session
        self.url = other.url
        return self


class SseCaller(McpCaller):
    """One caller of an MCP server over HTTP with SSE: a stream of its own, and messages by POST."""

    def open(self) -> Self:
        self.messages: Queue[dict[str, Any]] = Queue()
        self.ended = threading.Event()
        self._stream = self.client.stream("GET", self.url, headers=self.headers())
        response = self._stream.__enter__()
        assert response.status_code == 200
        events = events_of(response.iter_lines())
        self.url = str(httpx.URL(self.url).join(next(events)["data"]))
        threading.Thread(target=self._read, args=[events], daemon=True).start()
        info = {"name": "test", "version": "1"}
        self.request("initialize", protocolVersion="2024-11-05", capabilities={}, clientInfo=info)
        self.post("notifications/initialized", notification=True)
        return self

    def close(self) -> None:
        """End the stream."""
        self._stream.__exit__(None, None, None)
        self.client.close()

    def _read(self, events: Any) -> None:
        try:
            for event in events:
                if event.get("event") == "message":
                    self.messages.put(json.loads(event["data"]))
        except (httpx.HTTPError, RuntimeError, AttributeError, OSError):
            pass  # the test is over
        finally:
            self.ended.set()

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        assert self.post(method, **params).status_code == 202
        return self.messages.get(timeout=60)


def text_of(answer: dict[str, Any]) -> str:
    """Return the text in a JSON-RPC response, of a result or of an error."""
    if "error" in answer:
        return answer["error"]["message"]
    result = answer["result"]
    parts = result.get("content") or result.get("contents") or result.get("messages") or []
    return "".join(str(part.get("text") or part.get("content", {}).get("text")) for part in parts)
