"""The two graphs of a model that describes a feature vector.

encode   features [batch, time, dim] of which there is one, lengths [batch] → the decoder's first state
step     as in `training.export.decoder`, without attention
"""

from service.bundle.manifest import GraphSpec
from training.config import CaptionSection
from training.export.arithmetic import Arithmetic
from training.export.cells import weights_of
from training.export.decoder import DecoderGraphs
from training.export.graph import Graph
from training.export.recurrence import Rows
from training.export.tensors import Signature
from training.models.captioner import Captioner


class CaptionGraphs(DecoderGraphs):
    """Writes both graphs of `model` with the products of `numbers`."""

    def __init__(self, model: Captioner, section: CaptionSection, numbers: Arithmetic) -> None:
        super().__init__(model, section.decoder, numbers)
        self._linear = model.projection.linear

    def graphs(self) -> dict[str, tuple[Graph, GraphSpec]]:
        """All graphs by name."""
        return {"encode": self.encode(), "step": self.step()}

    def encode(self) -> tuple[Graph, GraphSpec]:
        """The graph that projects the vector; of several, the last."""
        graph, numbers = Graph("encode"), self._numbers
        sign = Signature(graph)
        features = sign.input("features", "float32", ("batch", "time", self._linear.in_features))
        lengths = sign.lengths("lengths", of="time")
        turned = graph.op("Transpose", features, perm=[1, 0, 2])
        vector = Rows.of(graph, turned, lengths).at_end(graph, turned)
        projected = numbers.linear(graph, numbers.factor(graph, vector), weights_of(self._linear))
        top = numbers.bounded(graph, graph.op("Tanh", projected))
        sign.states_out("decoder", self._bridge(graph, top), self._decoder)
        return graph, sign.spec("encode.onnx")
