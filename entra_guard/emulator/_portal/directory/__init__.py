"""The pages of users, groups and managed identities, and the directory as a file."""
