"""A transport that records requests and forwards them."""

from __future__ import annotations

from urllib.parse import parse_qs

import httpx


class Recording(httpx.BaseTransport):
    """Record requests and forward them to another transport."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self.inner = inner
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.inner.handle_request(request)

    @property
    def forms(self) -> list[dict[str, str]]:
        forms = [parse_qs(request.content.decode(), strict_parsing=True) for request in self.requests]
        return [{name: value for name, [value] in form.items()} for form in forms]
