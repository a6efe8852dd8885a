"""What graphs run on: the processor, or a GPU through ONNX Runtime's CUDA provider.

The packages `onnxruntime` and `onnxruntime-gpu` are the same module; only one of them can be installed.
"""

from typing import Any

import onnxruntime

from service.config import EngineSettings
from service.errors import ConfigRefused

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def check_device(settings: EngineSettings) -> None:
    """ConfigRefused where the installed ONNX Runtime does not know the device that is set."""
    if settings.device == "cuda" and CUDA not in onnxruntime.get_available_providers():
        raise ConfigRefused(
            "engine.device is cuda, and the ONNX Runtime that is installed knows no CUDA: install onnxruntime-gpu in "
            "place of onnxruntime (for the image: docker build --build-arg PACKAGES=serve-gpu)"
        )


def session_on(settings: EngineSettings, model: bytes, options: Any) -> Any:
    """An InferenceSession on the device that is set; ONNX Runtime by itself would fall back to the processor."""
    if settings.device == "cpu":
        return _lean(onnxruntime.InferenceSession(model, options, providers=[CPU]))
    onnxruntime.preload_dlls()  # CUDA's and cuDNN's libraries, where they are installed as wheels
    session = _lean(onnxruntime.InferenceSession(model, options, providers=[CUDA, CPU]))
    if session.get_providers()[0] != CUDA:
        raise ConfigRefused(
            "engine.device is cuda, and no GPU can be used here: nvidia-smi tells whether there is one"
        )
    return session


def _lean(session: Any) -> Any:
    """Without the file's bytes, which it would keep for the day when it is told to run elsewhere."""
    session._model_bytes = None
    return session
