"""Decide about one token with the keys that are cached: pure, without clock, lock or I/O."""
