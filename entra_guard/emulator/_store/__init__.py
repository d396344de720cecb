"""The emulator's state as immutable values, and the one place that replaces them."""
