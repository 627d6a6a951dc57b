"""Adapters to what holds keys; nothing here knows a stage."""
