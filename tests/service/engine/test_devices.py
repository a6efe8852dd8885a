"""Which device graphs run on; ONNX Runtime would fall back to the processor without a word."""

import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from service.bundle import Bundle
from service.config import EngineSettings
from service.engine.devices import CPU, CUDA, check_device, session_on
from service.engine.onnx import OnnxEngine
from service.errors import ConfigRefused
from tests.fakes.toy_graphs import step_graph, write_bundle

ON_GPU = EngineSettings(device="cuda")


def test_a_runtime_without_cuda_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    check_device(EngineSettings())
    with pytest.raises(ConfigRefused, match="onnxruntime-gpu in place of onnxruntime"):
        check_device(ON_GPU)


def test_a_session_does_not_keep_the_file_that_it_was_made_from() -> None:
    model = step_graph()
    held = sys.getrefcount(model)
    session = session_on(EngineSettings(), model, onnxruntime.SessionOptions())
    assert sys.getrefcount(model) == held
    assert session.get_inputs()


def test_a_session_that_fell_back_to_the_processor_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    asked: list[list[str]] = []
    real = onnxruntime.InferenceSession

    def fallen_back(model: bytes, options: Any, providers: list[str]) -> Any:
        asked.append(providers)
        return real(model, options, providers=[CPU])

    monkeypatch.setattr(onnxruntime, "InferenceSession", fallen_back)
    with pytest.raises(ConfigRefused, match="no GPU can be used here"):
        OnnxEngine(Bundle.read(write_bundle(tmp_path)), ON_GPU)
    assert [CUDA, CPU] in asked
