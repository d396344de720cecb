"""Look many users up at once: twenty to a request, in an event loop, with a certificate.

Usage: python call_graph_async.py NAME...   Set AZURE_TENANT_ID, AZURE_CLIENT_ID and
AZURE_CLIENT_CERTIFICATE_PATH; the file is read again when the certificate is renewed.
"""

import asyncio
import os
import sys

from entra_guard.credentials import CertificateCredential
from entra_guard.graph import BatchRequest, GraphClient

SCOPE = "https://graph.microsoft.com/.default"


async def main(names: list[str]) -> None:
    credential = CertificateCredential(
        os.environ["AZURE_TENANT_ID"],
        os.environ["AZURE_CLIENT_ID"],
        os.environ["AZURE_CLIENT_CERTIFICATE_PATH"],
        authority=os.environ.get("AZURE_AUTHORITY_HOST", "public"),
    )
    async with GraphClient(credential, base_url=os.environ.get("GRAPH_URL"), scope=SCOPE) as graph:
        answers = await graph.abatch(BatchRequest("GET", f"/users/{name}") for name in names)
    for name, answer in zip(names, answers, strict=True):
        print(name, answer.body["id"] if answer.error is None else answer.error)


asyncio.run(main(sys.argv[1:]))
