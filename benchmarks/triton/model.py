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
        options.add_session_config_entry("session.x64quantprecision", "1")
        self._session = onnxruntime.InferenceSession(str(here / "graph.onnx"), options)
        self._names = [before for before, _, _, _, _ in graph["states"]]
        self._outputs = [graph["output"], *(after for _, after, _, _, _ in graph["states"])]
        self._first = [np.full(shape, first, dtype) for _, _, dtype, shape, first in graph["states"]]
        self._states = {}

    def execute(self, requests):
        tokens, keys, states = [], [], []
        for request in requests:
            get = pb_utils.get_input_tensor_by_name
            key = int(get(request, "CORRID").as_numpy().flat[0])
            started = get(request, "START").as_numpy().flat[0]
            tokens.append(get(request, "tokens").as_numpy().reshape(1))
            states.append(self._first if started else self._states.get(key, self._first))
            keys.append(key)
        feeds = {name: np.stack(column) for name, column in zip(self._names, zip(*states))}
        feeds |= {"tokens": np.stack(tokens), "lengths": np.ones(len(tokens), np.int64)}
        log_probs, *after = self._session.run(self._outputs, feeds)
        for row, key in enumerate(keys):
            self._states[key] = [array[row] for array in after]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("log_probs", log_probs[row : row + 1])])
            for row in range(len(keys))
        ]
