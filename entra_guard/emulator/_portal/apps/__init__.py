"""The pages of an app registration."""
