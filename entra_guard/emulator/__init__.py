"""The Microsoft Entra ID emulator: directory, token endpoint, keys and Graph, on loopback, with faults.

It imports nothing of the rest of the package, so that one mistake cannot hide on both sides.
"""

from entra_guard.emulator._directory.client_certificates import GeneratedCertificate
from entra_guard.emulator._directory.credentials import Secret
from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._directory.samples import Samples
from entra_guard.emulator._emulator import Emulator
from entra_guard.emulator._faults.injector import FaultInjector
from entra_guard.emulator._store.entries import (
    CONSUMERS,
    CONTOSO,
    FABRIKAM,
    GRAPH,
    AgentIdentity,
    AppRegistration,
    AppRole,
    Group,
    ManagedIdentity,
    Scope,
    Tenant,
    User,
)
from entra_guard.emulator._store.signing_keys import SigningKey
from entra_guard.emulator._tokens.claims import TokenSpec
from entra_guard.emulator._tokens.presets import PRESETS

__all__ = [
    "CONSUMERS",
    "CONTOSO",
    "FABRIKAM",
    "GRAPH",
    "PRESETS",
    "AgentIdentity",
    "AppRegistration",
    "AppRole",
    "Emulator",
    "FaultInjector",
    "GeneratedCertificate",
    "Group",
    "ManagedIdentity",
    "RegistrationError",
    "Samples",
    "Scope",
    "Secret",
    "SigningKey",
    "Tenant",
    "TokenSpec",
    "User",
]
