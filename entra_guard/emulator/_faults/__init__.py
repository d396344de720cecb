"""Faults: what can go wrong on request, and the injector that applies it."""
