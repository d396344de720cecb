"""The pages of error codes, and of clients that connect to the emulator."""
