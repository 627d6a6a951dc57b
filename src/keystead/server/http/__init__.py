"""The HTTP door: OAuth endpoints, key documents, health and metrics (docs/protocol.md)."""
