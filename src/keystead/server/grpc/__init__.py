"""The gRPC door: keystead.v1, health and reflection (src/keystead/protocol/keystead_v1.proto)."""
