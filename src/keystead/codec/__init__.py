"""Bytes to structures and back; nothing here is trusted."""
