"""A FastAPI API that requires scopes and roles on its routes, and whose /docs page logs people in.

Set ENTRA_GUARD_TENANT, ENTRA_GUARD_AUDIENCE and DOCS_CLIENT_ID: an app registration with the platform
"single-page application" and the redirect URI <this API>/docs/oauth2-redirect. Then: uvicorn fastapi_app:app
"""

import os
from typing import Annotated

from fastapi import Depends, FastAPI, Security

from entra_guard import Guard, Principal
from entra_guard.fastapi import EntraBearer, document

guard = Guard.from_env()
entra = EntraBearer(guard)
app = FastAPI(title="Orders", dependencies=[Depends(entra)])  # so that a route added later is closed too
Reader = Annotated[Principal, Security(entra, scopes=["Orders.Read"])]
Auditor = Annotated[Principal, Depends(entra.requires(roles=["Audit.Read"], app_only=True))]


@app.get("/orders")
async def orders(caller: Reader) -> dict[str, str]:
    return {"for": caller.display_name}


@app.get("/audit")
async def audit(caller: Auditor) -> dict[str, str]:
    return {"by": caller.app_id}


document(app, guard, client_id=os.environ.get("DOCS_CLIENT_ID", ""), scopes=["Orders.Read"])
