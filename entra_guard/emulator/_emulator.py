"""The emulator: one object with the methods that users call, composed of parts that work alone."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

from entra_guard.emulator._activity.request_log import RequestLog, RequestRecord
from entra_guard.emulator._control import ControlApi
from entra_guard.emulator._delegation import delegate_to
from entra_guard.emulator._directory.agents import Agents
from entra_guard.emulator._directory.consents import Consents
from entra_guard.emulator._directory.credentials import CredentialRegistry
from entra_guard.emulator._directory.lookup import Lookup
from entra_guard.emulator._directory.managed_identities import ManagedIdentities
from entra_guard.emulator._directory.registrations import Registrations
from entra_guard.emulator._directory.samples import SampleApps
from entra_guard.emulator._directory.service import DirectoryService
from entra_guard.emulator._faults.injector import FaultInjector
from entra_guard.emulator._faults.refused_ports import RefusedPorts
from entra_guard.emulator._http.asgi import asgi_app
from entra_guard.emulator._http.emulator_server import EmulatorServer
from entra_guard.emulator._http.messages import is_loopback, split_url
from entra_guard.emulator._oauth.user_actions import UserActions
from entra_guard.emulator._portal.lazy_portal import LazyPortal
from entra_guard.emulator._public_gate import PublicGate, check_public
from entra_guard.emulator._request_handler import RequestHandler
from entra_guard.emulator._store.store import IN_PROCESS_URL, Store, wall_clock
from entra_guard.emulator._tokens.issuer import TokenIssuer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from starlette.types import ASGIApp

    from entra_guard.emulator._http.delivery import Delivery
    from entra_guard.emulator._http.messages import Request
    from entra_guard.emulator._http.transport import InProcessTransport
    from entra_guard.emulator._store.directory import Directory
    from entra_guard.emulator._store.faults import Fault
    from entra_guard.emulator._store.signing_keys import SigningKey


class Emulator:
    """Microsoft Entra ID for tests, demonstrations and work without a network.

    It behaves like Entra wherever a guard or a client library can notice, fails on request, and serves this
    machine only. Use it without sockets through `transport`, or as a context manager with sockets.

    Args:
        seed: Makes every identifier and secret the same on every run. Signing keys are not affected.
        clock: Returns the time in seconds since 1970.
        https: Serve https too, which MSAL and azure-identity require.
        port: The http port; 0 selects a free one.
        https_port: The https port; 0 selects a free one. Any other number enables https.
        state_dir: Folder of its certificate authority; by default each start creates a temporary one.
        base_url: The base URL without a server. Two emulators in one process need different ones.
        host: The name by which other containers reach it: then it serves https only, on all addresses.
        shared_secret: With `host`, the password for its pages, token minting and control.

    Raises:
        ValueError: The base URL is not a loopback URL, or `host` has no secret of at least 16 characters.

    Attributes:
        store: The state and its clock.
        directory_service: Registrations, users, consent and credentials.
        token_issuer: Tokens and signing keys.
        fault_injector: Faults.
        request_handler: The responses to requests of every transport.
        request_log: The requests that were received, and what happened in the last 500.
        server: The sockets.

    Example:
        >>> with Emulator() as entra:
        ...     api = entra.register_app("Orders", app_roles=["Orders.Read"])
        ...     token = entra.issue_token(api, roles=["Orders.Read"])
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        clock: Callable[[], float] = wall_clock,
        https: bool = False,
        port: int = 0,
        https_port: int = 0,
        state_dir: Path | None = None,
        base_url: str = IN_PROCESS_URL,
        host: str = "",
        shared_secret: str = "",
    ) -> None:
        _check_base_url(base_url)
        if host:
            check_public(host, shared_secret)
        self._base_url = base_url
        self.store: Store = Store(seed=seed, clock=clock, base_url=base_url)
        self.directory_service: DirectoryService = DirectoryService(self.store)
        self.token_issuer: TokenIssuer = TokenIssuer(self.directory_service.lookup)
        self.fault_injector: FaultInjector = FaultInjector(self.store)
        self.request_log: RequestLog = RequestLog()
        self._user_actions = UserActions(self.directory_service)
        control = ControlApi(self.directory_service, self.token_issuer, self.fault_injector, self.request_log)
        # The server needs the handler, the handler the pages, and the pages both: they call it later.
        gate = PublicGate(self._respond, self.store, shared_secret).respond if host else self._respond
        self.app: ASGIApp = asgi_app(gate)
        self.server: EmulatorServer = EmulatorServer(
            self.app, https=https, port=port, https_port=https_port, state_dir=state_dir, host=host
        )
        self._host = host
        portal = LazyPortal(
            self.directory_service,
            self.token_issuer,
            self.fault_injector,
            self.request_log,
            self.server,
            self._respond,
        )
        self.request_handler: RequestHandler = RequestHandler(
            self.directory_service, self.fault_injector, self.request_log, control, portal
        )
        self._ports = RefusedPorts(self.fault_injector, self.server)

    def __repr__(self) -> str:
        return f"<Emulator {self.url}, {len(self.directory.apps)} apps>"

    @cached_property
    def transport(self) -> InProcessTransport:
        """The emulator as an httpx transport, sync and async, without sockets."""
        # httpx takes a fifth of the time in which the command line's emulator starts, which does not need it.
        from entra_guard.emulator._http.transport import InProcessTransport  # noqa: PLC0415

        return InProcessTransport(self.request_handler.respond)

    def _respond(self, request: Request) -> Delivery:
        return self.request_handler.respond(request)

    # Server

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Serve on loopback until `stop`.

        Raises:
            RuntimeError: The emulator is already running.
            OSError: A port cannot be opened.
            ImportError: uvicorn is not installed.
        """
        self.server.start()
        self.store.base_url = self.server.url or self._base_url
        if self._host:
            self.store.public_netloc = split_url(self.store.base_url).netloc

    def stop(self) -> None:
        """Close every connection and the ports. Do nothing if the emulator is not running."""
        self.store.base_url = self._base_url
        self.server.stop()

    @delegate_to(EmulatorServer.wait)
    def wait(self) -> EmulatorServer:
        return self.server

    @property
    def url(self) -> str:
        """The base URL: of the running server, or a loopback name for `transport`."""
        return self.store.base_url

    @property
    def https_url(self) -> str:
        """The base URL over https.

        Raises:
            RuntimeError: https is not served: use `Emulator(https=True)`.
        """
        return self.server.https_url

    @property
    def tenant_id(self) -> str:
        """The id of the first tenant, Contoso."""
        return self.find_tenant().id

    @property
    def authority(self) -> str:
        """The first tenant's authority: `{url}/{tenant_id}`."""
        return f"{self.url}/{self.tenant_id}"

    @property
    def ca_bundle(self) -> Path:
        """A file with the certificate authority of `https_url`, for `verify=` and similar settings."""
        return self.server.authority.certificate

    @property
    def combined_ca_bundle(self) -> Path:
        """A file with this authority and the public ones, for REQUESTS_CA_BUNDLE and SSL_CERT_FILE."""
        return self.server.authority.combined

    @delegate_to(EmulatorServer.ssl_context)
    def ssl_context(self) -> EmulatorServer:
        return self.server

    # State and clock

    @property
    def directory(self) -> Directory:
        """The current directory. It is immutable: every change replaces it."""
        return self.store.directory

    @delegate_to(Store.now)
    def now(self) -> Store:
        return self.store

    @delegate_to(Store.freeze)
    def freeze(self) -> Store:
        return self.store

    @delegate_to(Store.advance)
    def advance(self) -> Store:
        return self.store

    @delegate_to(Store.unfreeze)
    def unfreeze(self) -> Store:
        return self.store

    @delegate_to(Store.snapshot)
    def snapshot(self) -> Store:
        return self.store

    @delegate_to(Store.restore)
    def restore(self) -> Store:
        return self.store

    @delegate_to(Store.reset)
    def reset(self) -> Store:
        return self.store

    # Directory

    @delegate_to(Lookup.find_tenant)
    def find_tenant(self) -> Lookup:
        return self.directory_service.lookup

    @delegate_to(Lookup.find_app)
    def find_app(self) -> Lookup:
        return self.directory_service.lookup

    @delegate_to(Lookup.find_user)
    def find_user(self) -> Lookup:
        return self.directory_service.lookup

    @delegate_to(Registrations.add_tenant)
    def add_tenant(self) -> Registrations:
        return self.directory_service.registrations

    @delegate_to(Registrations.register_app)
    def register_app(self) -> Registrations:
        return self.directory_service.registrations

    @delegate_to(Registrations.update_app)
    def update_app(self) -> Registrations:
        return self.directory_service.registrations

    @delegate_to(Registrations.remove_app)
    def remove_app(self) -> Registrations:
        return self.directory_service.registrations

    @delegate_to(Registrations.add_user)
    def add_user(self) -> Registrations:
        return self.directory_service.registrations

    @delegate_to(Registrations.add_group)
    def add_group(self) -> Registrations:
        return self.directory_service.registrations

    @delegate_to(Consents.consent)
    def consent(self) -> Consents:
        return self.directory_service.consents

    @delegate_to(Consents.grant)
    def grant(self) -> Consents:
        return self.directory_service.consents

    @delegate_to(Consents.grant_delegated)
    def grant_delegated(self) -> Consents:
        return self.directory_service.consents

    @delegate_to(Consents.assign)
    def assign(self) -> Consents:
        return self.directory_service.consents

    @delegate_to(Consents.revoke)
    def revoke(self) -> Consents:
        return self.directory_service.consents

    @delegate_to(CredentialRegistry.add_secret)
    def add_secret(self) -> CredentialRegistry:
        return self.directory_service.credentials

    @delegate_to(CredentialRegistry.remove_secret)
    def remove_secret(self) -> CredentialRegistry:
        return self.directory_service.credentials

    @delegate_to(CredentialRegistry.add_certificate)
    def add_certificate(self) -> CredentialRegistry:
        return self.directory_service.credentials

    @delegate_to(CredentialRegistry.new_certificate)
    def new_certificate(self) -> CredentialRegistry:
        return self.directory_service.credentials

    @delegate_to(CredentialRegistry.remove_certificate)
    def remove_certificate(self) -> CredentialRegistry:
        return self.directory_service.credentials

    @delegate_to(CredentialRegistry.add_federated_credential)
    def add_federated_credential(self) -> CredentialRegistry:
        return self.directory_service.credentials

    @delegate_to(ManagedIdentities.add_managed_identity)
    def add_managed_identity(self) -> ManagedIdentities:
        return self.directory_service.identities

    @delegate_to(ManagedIdentities.managed_identity_environment)
    def managed_identity_environment(self) -> ManagedIdentities:
        return self.directory_service.identities

    @delegate_to(Agents.add_agent)
    def add_agent(self) -> Agents:
        return self.directory_service.agents

    @delegate_to(SampleApps.add_samples)
    def add_samples(self) -> SampleApps:
        return self.directory_service.samples

    @delegate_to(UserActions.sign_in)
    def sign_in(self) -> UserActions:
        return self._user_actions

    @delegate_to(UserActions.approve_device)
    def approve_device(self) -> UserActions:
        return self._user_actions

    # Tokens and keys

    @delegate_to(TokenIssuer.issue_token)
    def issue_token(self) -> TokenIssuer:
        return self.token_issuer

    @delegate_to(TokenIssuer.issue_raw)
    def issue_raw(self) -> TokenIssuer:
        return self.token_issuer

    @property
    def workload_issuer(self) -> str:
        """An issuer other than Entra, for `add_federated_credential`: like a cluster's or a pipeline's."""
        return self.token_issuer.workload_issuer

    @delegate_to(TokenIssuer.workload_token)
    def workload_token(self) -> TokenIssuer:
        return self.token_issuer

    @property
    def signing_key(self) -> SigningKey:
        """The key that signs the tokens of organisations now."""
        return self.token_issuer.signing_key

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        """The published keys: the signing key first, those of other realms last."""
        return self.token_issuer.keys

    @delegate_to(TokenIssuer.rotate_keys)
    def rotate_keys(self) -> TokenIssuer:
        return self.token_issuer

    @delegate_to(TokenIssuer.withdraw_key)
    def withdraw_key(self) -> TokenIssuer:
        return self.token_issuer

    @delegate_to(TokenIssuer.add_signing_key)
    def add_signing_key(self) -> TokenIssuer:
        return self.token_issuer

    # Faults and recorded requests

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults that are set."""
        return self.fault_injector.faults

    @delegate_to(FaultInjector.fail)
    def fail(self) -> FaultInjector:
        return self.fault_injector

    @delegate_to(FaultInjector.fail_next)
    def fail_next(self) -> FaultInjector:
        return self.fault_injector

    @delegate_to(FaultInjector.failing)
    def failing(self) -> FaultInjector:
        return self.fault_injector

    @delegate_to(FaultInjector.clear_faults)
    def clear_faults(self) -> FaultInjector:
        return self.fault_injector

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The last 10,000 requests that reached the emulator, oldest first."""
        return self.request_log.requests

    @delegate_to(RequestLog.count)
    def count(self) -> RequestLog:
        return self.request_log

    @delegate_to(RequestLog.clear_requests)
    def clear_requests(self) -> RequestLog:
        return self.request_log


def _check_base_url(base_url: str) -> None:
    parts = split_url(base_url)
    if parts.scheme not in {"http", "https"} or not is_loopback(parts.netloc) or parts.path:
        raise ValueError(
            f"base_url={base_url!r} is not a loopback URL: use http:// and a name that ends in .localhost."
        )
