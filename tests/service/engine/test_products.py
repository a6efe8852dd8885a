"""The machine is asked whether its eight-bit products are exact; only one that says no gets the slow ones."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from service.engine import products

OPTION = "session.x64quantprecision"


class Options:
    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def add_session_config_entry(self, name: str, value: str) -> None:
        self.entries[name] = value


@pytest.mark.parametrize("exact", [True, False])
def test_only_a_machine_that_saturates_gets_the_slow_products(
    exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "products_are_exact", lambda: exact)
    options = Options()
    products.make_exact(options)
    assert options.entries == ({} if exact else {OPTION: "1"})


def test_the_question_is_the_largest_product_that_there_can_be() -> None:
    model = onnx.load_from_string(products.LARGEST)
    onnx.checker.check_model(model)
    weights, product = model.graph.node
    assert (weights.op_type, product.op_type) == ("ConstantOfShape", "MatMulInteger")
    assert numpy_helper.to_array(weights.attribute[0].t) == 127
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_with_what_the_answer_asks_for_products_are_exact_here() -> None:
    options = ort.SessionOptions()
    products.make_exact(options)
    session = ort.InferenceSession(products.LARGEST, options, providers=["CPUExecutionProvider"])
    for batch in (1, 3, 64):
        found = session.run(None, {"x": np.full((batch, 64), 255, np.uint8)})[0]
        assert np.array_equal(found, np.full((batch, 64), 64 * 255 * 127))
