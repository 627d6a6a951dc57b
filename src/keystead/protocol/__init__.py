"""The gRPC messages and stubs, generated from keystead_v1.proto by `make protos`."""
