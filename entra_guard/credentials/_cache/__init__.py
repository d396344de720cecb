"""Caches of outbound tokens: in memory, shared by processes, and encrypted at rest."""
