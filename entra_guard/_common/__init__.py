"""Helpers that every layer may use: HTTP, strict JSON, caches, single flight."""
