"""Runs batches: many steps in, as many results out. Only `service.engine.onnx` knows ONNX Runtime."""

import os

from service.engine.base import Engine, Resident

__all__ = ["Engine", "Resident"]

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
"""ONNX Runtime reads it when `service.engine.onnx` imports it: a server tells nobody what it serves."""
