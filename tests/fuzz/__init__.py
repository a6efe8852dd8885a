"""Fuzzing: what readers of bytes, and every call, make of input that nobody meant."""
