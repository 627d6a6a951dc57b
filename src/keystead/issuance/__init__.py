"""Stage 4: from a token request to the claims that a hardware key signs (RFC 8693)."""
