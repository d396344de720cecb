"""A program that ends with connections open, kept by an object that Python drops last.

Arguments: the authority, the tenant, the client id, the secret, the scope. A token for the guard comes on standard input.
"""

from __future__ import annotations

import gc
import logging
import sys

from entra_guard import Guard
from entra_guard.credentials import ClientSecretCredential

authority, tenant, client_id, secret, scope = sys.argv[1:]
credential = ClientSecretCredential(tenant, client_id, secret, authority=authority)
guard = Guard(tenant=tenant, audience=client_id, authority=authority)
assert credential.get_token(scope).token
sys.stdout.write(f"{guard.verify(sys.stdin.read()).roles}\n")

# Now neither is collected before Python has cleared the modules that a destructor would use.
logging.__dict__["kept"] = guard, credential
gc.freeze()
