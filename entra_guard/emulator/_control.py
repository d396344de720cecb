"""The control API under `/_emu`: for tests in another process or another language.

It accepts JSON only. So a page of another origin needs a preflight to use it, and preflights are refused.
Requests that name another origin are refused, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from entra_guard._escaping import shorten
from entra_guard.emulator._http.form_guard import is_foreign
from entra_guard.emulator._http.messages import Request, Response, json_response

if TYPE_CHECKING:
    from entra_guard.emulator._activity.request_log import RequestLog
    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._faults.injector import FaultInjector
    from entra_guard.emulator._store.entries import ManagedIdentity
    from entra_guard.emulator._tokens.issuer import TokenIssuer

PREFIX: Final = "/_emu/"
Body = Mapping[str, Any]


class ControlApi:
    """Operate the emulator over HTTP."""

    def __init__(
        self, service: DirectoryService, issuer: TokenIssuer, injector: FaultInjector, log: RequestLog
    ) -> None:
        self._service = service
        self._store = service.store
        self._issuer = issuer
        self._injector = injector
        self._log = log
        self._endpoints: dict[tuple[str, str], Callable[[Body], Any]] = {
            ("POST", "token"): self._issue_token,
            ("POST", "keys/rotate"): self._rotate_keys,
            ("POST", "keys/withdraw"): self._withdraw_key,
            ("POST", "clock"): self._set_clock,
            ("GET", "faults"): self._list_faults,
            ("POST", "faults"): self._set_fault,
            ("POST", "faults/clear"): self._clear_faults,
            ("GET", "audit"): self._list_requests,
            ("POST", "agents"): self._add_agent,
            ("POST", "identities"): self._add_identity,
            ("GET", "identities"): self._list_identities,
            ("GET", "export"): self._export,
            ("POST", "import"): self._import,
            ("POST", "reset"): self._reset,
            ("GET", "state"): self._show_state,
        }

    def serves(self, request: Request) -> bool:
        """Return whether the control API has an endpoint for a request."""
        return (request.method, request.path.removeprefix(PREFIX)) in self._endpoints

    def respond(self, request: Request) -> Response:
        """Respond to a request to the control API."""
        endpoint = self._endpoints.get((request.method, request.path.removeprefix(PREFIX)))
        if not self._store.is_own(request.host):
            return _error_response("The control API serves this machine only: use localhost as host.", 421)
        if request.method != "GET" and is_foreign(request):
            return _error_response("A web page of another origin cannot use the control API.", 403)
        if endpoint is None:
            known = ", ".join(f"{method} {PREFIX}{path}" for method, path in self._endpoints)
            return _error_response(f"There is no such endpoint. Use one of: {known}.", 404)
        if request.method == "POST" and not _is_json(request):
            return _error_response("Send JSON, with the header Content-Type: application/json.", 415)
        try:
            return json_response(endpoint(_json_object(request.json())))
        except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
            return _error_response(str(error.args[0] if error.args else error), 400)

    def _issue_token(self, body: Body) -> Any:
        """Take the arguments of `issue_token`; `client` is a client id."""
        return {"access_token": self._issuer.issue_token(**body)}

    def _rotate_keys(self, body: Body) -> Any:
        return {"kid": self._issuer.rotate_keys(**body).kid}

    def _withdraw_key(self, body: Body) -> Any:
        self._issuer.withdraw_key(str(body["kid"]))
        return self._keys()

    def _set_clock(self, body: Body) -> Any:
        """Take `{"freeze": true}` or a time, `{"advance": seconds}`, `{"unfreeze": true}`."""
        if body.get("unfreeze"):
            self._store.unfreeze()
        freeze = body.get("freeze")
        if freeze:
            self._store.freeze(None if freeze is True else float(freeze))
        self._store.advance(float(body.get("advance", 0)))
        return {"now": self._store.now()}

    def _set_fault(self, body: Body) -> Any:
        """Take the arguments of `fail`."""
        if body.get("how") == "refused" and body.get("seconds") is None:
            raise ValueError("Closed ports receive no request that opens them: pass `seconds`.")
        self._injector.fail(**body)
        return self._list_faults({})

    def _clear_faults(self, body: Body) -> Any:
        self._injector.clear_faults(body.get("target"))
        return self._list_faults({})

    def _list_faults(self, _body: Body) -> Any:
        shown = ("target", "how", "times", "delay", "retry_after", "probability")
        faults = self._injector.faults
        return {"faults": [{name: getattr(fault, name) for name in shown} for fault in faults]}

    def _add_agent(self, body: Body) -> Any:
        """Take `{"name": ..., "blueprint": client id}`; with `"user"`, add its user account, too."""
        agent = self._service.agents.add_agent(str(body["name"]), str(body["blueprint"]))
        account = (
            self._service.registrations.add_user(str(body["user"]), agent=agent) if body.get("user") else None
        )
        user = {"user_id": account.id, "upn": account.upn} if account else {}
        return {"id": agent.id, "blueprint": agent.blueprint_id, "tenant_id": agent.tenant_id, **user}

    def _list_requests(self, _body: Body) -> Any:
        shown = ("method", "path", "target", "status", "at")
        records = self._log.requests
        return {"requests": [{name: getattr(record, name) for name in shown} for record in records]}

    def _add_identity(self, body: Body) -> Any:
        """Take the arguments of `add_managed_identity`."""
        for name, kind in (("name", str), ("tenant", str), ("system_assigned", bool)):
            if not isinstance(body.get(name, kind()), kind):
                raise TypeError(f"{name} must be a {kind.__name__}, got {body[name]!r}.")
        added = self._service.identities.add_managed_identity(**body)
        return {
            **_identity_row(added),
            "environment": self._service.identities.managed_identity_environment(),
        }

    def _list_identities(self, _body: Body) -> Any:
        return {"identities": [_identity_row(i) for i in self._service.directory.identities.values()]}

    def _export(self, _body: Body) -> Any:
        """Return the directory as a seed."""
        from entra_guard.emulator._directory.export import export_directory  # noqa: PLC0415 (starting is fast)

        return export_directory(self._service.directory)

    def _import(self, body: Body) -> Any:
        """Take a seed, and replace the directory by it."""
        from entra_guard.emulator._directory.seed import apply_seed  # noqa: PLC0415 (starting is fast)
        from entra_guard.emulator._directory.seed_format import seed_of  # noqa: PLC0415

        apply_seed(self._service, seed_of(dict(body)))
        return self._show_state({})

    def _reset(self, _body: Body) -> Any:
        self._store.reset()
        self._log.clear_requests()
        return self._show_state({})

    def _show_state(self, _body: Body) -> Any:
        directory = self._store.directory
        return {
            "now": self._store.now(),
            "tenants": [{"id": t.id, "name": t.name, "domain": t.domain} for t in directory.tenants.values()],
            "apps": [
                {
                    "client_id": a.client_id,
                    "name": a.name,
                    "tenant_id": a.tenant_id,
                    "app_id_uri": a.app_id_uri,
                }
                for a in directory.apps.values()
            ],
            "users": [{"id": u.id, "upn": u.upn, "tenant_id": u.tenant_id} for u in directory.users.values()],
            "agents": [
                {"id": a.id, "name": a.name, "blueprint": a.blueprint_id} for a in directory.agents.values()
            ],
            **self._keys(),
            **self._list_faults({}),
        }

    def _keys(self) -> dict[str, Any]:
        signing = self._issuer.signing_key.kid
        keys = self._issuer.keys
        return {"keys": [{"kid": k.kid, "realm": k.realm, "signs": k.kid == signing} for k in keys]}


def _identity_row(identity: ManagedIdentity) -> dict[str, Any]:
    shown = ("name", "client_id", "principal_id", "tenant_id", "resource_path", "system_assigned")
    return {name: getattr(identity, name) for name in shown}


def _is_json(request: Request) -> bool:
    return (request.header("content-type") or "").partition(";")[0].strip() == "application/json"


def _json_object(content: Any) -> Body:
    if not isinstance(content, dict):
        raise TypeError("Send a JSON object.")
    return content  # pyright: ignore[reportUnknownVariableType]


def _error_response(text: str, status: int) -> Response:
    return json_response({"error": shorten(text)}, status)
