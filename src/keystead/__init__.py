"""Keystead: hardware-bound delegated tokens, and the fastest way to check them."""
