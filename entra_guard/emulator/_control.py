"""The control interface under `/_emu`: for tests in another process or language than Python.

It takes JSON only, so that no page of another origin can use it without a preflight, which is never granted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._http.messages import Request, Response, is_loopback, json_response

if TYPE_CHECKING:
    from entra_guard.emulator._request_handling import RequestHandling

PREFIX: Final = "/_emu/"
Body = Mapping[str, Any]


def control(entra: RequestHandling, request: Request) -> Response:
    """Answer one request to the control interface."""
    answer = _TABLE.get((request.method, request.path.removeprefix(PREFIX)))
    if not is_loopback(request.host):
        return _problem("The control interface is for this machine only.", 421)
    if answer is None:
        return _problem(f"There is only: {', '.join(' '.join(entry) for entry in _TABLE)}.", 404)
    if request.method == "POST" and not _is_json(request):
        return _problem("Send JSON, with Content-Type: application/json.", 415)
    try:
        return json_response(answer(entra, _mapping(request.json())))
    except (ValueError, TypeError, LookupError) as problem:
        return _problem(str(problem.args[0] if problem.args else problem), 400)


def _is_json(request: Request) -> bool:
    return (request.header("content-type") or "").partition(";")[0].strip() == "application/json"


def _mapping(content: Any) -> Body:
    if not isinstance(content, dict):
        raise TypeError("Send a JSON object.")
    return content  # pyright: ignore[reportUnknownVariableType]


def _problem(text: str, status: int) -> Response:
    return json_response({"error": text}, status)


def _token(entra: RequestHandling, body: Body) -> Any:
    """The arguments of `issue_token`, `client` by its id."""
    return {"access_token": entra.issue_token(**body)}


def _rotate(entra: RequestHandling, body: Body) -> Any:
    return {"kid": entra.rotate_keys(**body).kid}


def _withdraw(entra: RequestHandling, body: Body) -> Any:
    entra.withdraw_key(str(body["kid"]))
    return _keys(entra)


def _clock(entra: RequestHandling, body: Body) -> Any:
    """`{"freeze": true}` or a time, `{"advance": seconds}`, `{"unfreeze": true}`."""
    if body.get("unfreeze"):
        entra.unfreeze()
    freeze = body.get("freeze")
    if freeze:
        entra.freeze(None if freeze is True else float(freeze))
    entra.advance(float(body.get("advance", 0)))
    return {"now": entra.now()}


def _fail(entra: RequestHandling, body: Body) -> Any:
    """The arguments of `fail`."""
    if body.get("how") == "refused" and body.get("seconds") is None:
        raise ValueError("Closed ports cannot be told to open again: say for how many `seconds`.")
    entra.fail(**body)
    return _faults(entra, {})


def _clear_faults(entra: RequestHandling, body: Body) -> Any:
    entra.clear_faults(body.get("target"))
    return _faults(entra, {})


def _faults(entra: RequestHandling, _body: Body) -> Any:
    shown = ("target", "how", "times", "delay", "retry_after", "probability")
    return {"faults": [{name: getattr(fault, name) for name in shown} for fault in entra.faults]}


def _audit(entra: RequestHandling, _body: Body) -> Any:
    shown = ("method", "path", "target", "status", "at")
    return {"requests": [{name: getattr(seen, name) for name in shown} for seen in entra.requests]}


def _reset(entra: RequestHandling, _body: Body) -> Any:
    entra.reset()
    entra.clear_requests()
    return _state(entra, {})


def _state(entra: RequestHandling, body: Body) -> Any:
    directory = entra.directory
    return {
        "now": entra.now(),
        "tenants": [{"id": t.id, "name": t.name, "domain": t.domain} for t in directory.tenants.values()],
        "apps": [
            {"client_id": a.client_id, "name": a.name, "tenant_id": a.tenant_id, "app_id_uri": a.app_id_uri}
            for a in directory.apps.values()
        ],
        "users": [{"id": u.id, "upn": u.upn, "tenant_id": u.tenant_id} for u in directory.users.values()],
        **_keys(entra),
        **_faults(entra, body),
    }


def _keys(entra: RequestHandling) -> dict[str, Any]:
    signing = entra.signing_key.kid
    return {"keys": [{"kid": k.kid, "realm": k.realm, "signs": k.kid == signing} for k in entra.keys]}


_TABLE: Final[dict[tuple[str, str], Callable[[RequestHandling, Body], Any]]] = {
    ("POST", "token"): _token,
    ("POST", "keys/rotate"): _rotate,
    ("POST", "keys/withdraw"): _withdraw,
    ("POST", "clock"): _clock,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _fail,
    ("POST", "faults/clear"): _clear_faults,
    ("GET", "audit"): _audit,
    ("POST", "reset"): _reset,
    ("GET", "state"): _state,
}
