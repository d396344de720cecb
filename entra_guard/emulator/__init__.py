"""The embedded Microsoft Entra ID: directory, token endpoint and keys, on loopback and breakable at will.

It stands aside from the guard on purpose: it imports nothing of it, so that one mistake cannot hide on
both sides.
"""

from ._app_credentials import Secret
from ._claims import TokenOrder
from ._client_certificates import ClientCertificate
from ._directory import (
    CONSUMERS,
    CONTOSO,
    FABRIKAM,
    GRAPH,
    AppRegistration,
    AppRole,
    Group,
    ManagedIdentity,
    Scope,
    Tenant,
    User,
)
from ._emulator import Emulator
from ._presets import PRESETS
from ._rules import RegistrationError
from ._samples import Samples
from ._signing_keys import SigningKey

__all__ = [
    "CONSUMERS",
    "CONTOSO",
    "FABRIKAM",
    "GRAPH",
    "PRESETS",
    "AppRegistration",
    "AppRole",
    "ClientCertificate",
    "Emulator",
    "Group",
    "ManagedIdentity",
    "RegistrationError",
    "Samples",
    "Scope",
    "Secret",
    "SigningKey",
    "Tenant",
    "TokenOrder",
    "User",
]
