"""Evidence against policy: chains, measurements, and the attestation result that comes of it."""
