"""Triton's sequence batcher with the same graph, run by its Python backend.

The server comes as a binary in the wheel `nvidia-pytriton`. Install it, and `onnxruntime`, into an environment of its
own (its dependencies are not ours) and name that environment's Python with `--triton`.
"""

from benchmarks.triton.server import NoTriton, Triton, running_triton

__all__ = ["NoTriton", "Triton", "running_triton"]
