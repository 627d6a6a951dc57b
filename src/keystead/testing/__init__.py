"""Emulated hardware for development and tests. Nothing made here is ever taken for hardware."""
