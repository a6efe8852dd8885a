"""The Open Inference Protocol: what Triton's clients and tools speak, on the same models, sessions and schedulers."""

from service.api.inference.servicer import Administration, InferenceServicer

__all__ = ["Administration", "InferenceServicer"]
