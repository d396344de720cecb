"""Microsoft Graph with the credentials of this package: objects, collections, batches, groups of users."""

from entra_guard.graph._batch import BatchRequest, BatchResponse
from entra_guard.graph._client import GraphClient
from entra_guard.graph._errors import GraphError
from entra_guard.graph._groups import GroupResolver, has_overage

__all__ = ["BatchRequest", "BatchResponse", "GraphClient", "GraphError", "GroupResolver", "has_overage"]
