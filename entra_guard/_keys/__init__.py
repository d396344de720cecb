"""The life cycle of signing keys: discovery, fetch, cache, refresh."""
