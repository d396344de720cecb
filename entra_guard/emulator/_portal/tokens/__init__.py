"""The pages that get and check a token."""
