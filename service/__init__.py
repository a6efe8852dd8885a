"""The gRPC service: sequence models served with state per session."""
