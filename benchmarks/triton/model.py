"""The model that Triton's Python backend runs: the graph, once for all that came together; states in a dict."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Named and called by Triton."""

    def initialize(self, args):
        here = Path(args["model_repository"]) / args["model_version"]
        graph = json.loads((here / "graph.json").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = graph["threads"]
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not graph["exact"]:  # as the service does it
            options.add_session_config_entry("session.x64quantprecision", "1")
        self._session = onnxruntime.InferenceSession(str(here / "graph.onnx"), options)
        self._names = [before for before, *_ in graph["states"]]
        self._outputs = [graph["output"], *(after for _, after, _, _, _ in graph["states"])]
        self._first = [np.full(shape, first, dtype) for _, _, dtype, shape, first in graph["states"]]
        self._states = {}

    def execute(self, requests):
        given = [Given(request) for request in requests]
        states = [self._first if one.started else self._states[one.key] for one in given]
        feeds = {
            name: np.stack(column)
            for name, column in zip(self._names, zip(*states, strict=True), strict=True)
        }
        feeds |= {"tokens": np.stack([one.token for one in given]), "lengths": np.ones(len(given), np.int64)}
        log_probs, *after = self._session.run(self._outputs, feeds)
        for row, one in enumerate(given):
            self._states[one.key] = [array[row] for array in after]
        rows = [log_probs[row : row + 1] for row in range(len(given))]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("log_probs", row)]) for row in rows]


class Given:
    """What stands in a request."""

    def __init__(self, request):
        self.started = bool(_first(request, "START"))
        self.key = int(_first(request, "CORRID"))
        self.token = pb_utils.get_input_tensor_by_name(request, "tokens").as_numpy().reshape(1)


def _first(request, name):
    return pb_utils.get_input_tensor_by_name(request, name).as_numpy().flat[0]
