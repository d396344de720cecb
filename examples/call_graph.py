"""List the users of a tenant, page by page, as the application that environment variables describe.

Set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or AZURE_CLIENT_CERTIFICATE_PATH, or
AZURE_FEDERATED_TOKEN_FILE) of an application with Graph's permission User.Read.All.
"""

import os

from entra_guard.credentials import ChainedCredential, EnvironmentCredential, ManagedIdentityCredential
from entra_guard.graph import GraphClient

SCOPE = "https://graph.microsoft.com/.default"
credential = ChainedCredential(EnvironmentCredential(), ManagedIdentityCredential())

with GraphClient(credential, base_url=os.environ.get("GRAPH_URL"), scope=SCOPE) as graph:
    for user in graph.iterate("/users", {"$select": "displayName,userPrincipalName", "$top": "100"}):
        print(user["displayName"], user["userPrincipalName"])
