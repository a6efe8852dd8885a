"""Runs batches: many steps in, as many results out. Only `service.engine.onnx` knows ONNX Runtime."""

from service.engine.base import Engine

__all__ = ["Engine"]
