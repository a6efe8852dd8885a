"""What a graph tells of its gates is what the formulas say, in any batch and any chunks."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.config import ClassifierSection
from training.export.arithmetic import Arithmetic, Float32, RowwiseInt8
from training.export.check import Array, Arrays, Runner, random_texts, require_equal
from training.export.classifier import ClassifierGraphs
from training.models.classifier import Classifier

UNITS = 7
HIDDEN = 19

torch.set_num_threads(1)


def classifier(cell: str, two_way: bool) -> tuple[Classifier, ClassifierSection]:
    encoder = {"cell": cell, "layers": 2, "hidden": HIDDEN, "bidirectional": two_way}
    section = ClassifierSection.model_validate({"embedding": 12, "encoder": encoder})
    torch.manual_seed(0)
    return Classifier(section, 60, 3).eval(), section


def runner(cell: str, two_way: bool, numbers: Arithmetic) -> tuple[Classifier, Runner]:
    model, section = classifier(cell, two_way)
    return model, Runner(*ClassifierGraphs(model, section, numbers, traces=True).graphs()["classify"])


def by_hand(stack: nn.RNNBase, cell: str, x: Tensor) -> dict[str, Tensor]:
    """The traces of a one-way stack over one text `x` [time, in]: name → [time, hidden]."""
    seen: dict[str, Tensor] = {}
    for layer in range(stack.num_layers):
        w_x, w_h, b_x, b_h = (
            getattr(stack, f"{n}_l{layer}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        h, c = torch.zeros(HIDDEN), torch.zeros(HIDDEN)
        rows: list[dict[str, Tensor]] = []
        for now in x:
            given, back = w_x @ now + b_x, w_h @ h + b_h
            if cell == "lstm":
                i, f, g, o = (given + back).chunk(4)
                gates = {"i": i.sigmoid(), "f": f.sigmoid(), "g": g.tanh(), "o": o.sigmoid()}
                c = gates["f"] * c + gates["i"] * gates["g"]
                h = gates["o"] * c.tanh()
                rows.append({**gates, "c": c, "h": h})
            else:
                (xr, xz, xn), (hr, hz, hn) = given.chunk(3), back.chunk(3)
                r, z = (xr + hr).sigmoid(), (xz + hz).sigmoid()
                n = (xn + r * hn).tanh()
                h = (1 - z) * n + z * h
                rows.append({"r": r, "z": z, "n": n, "h": h})
        for letter in rows[0]:
            seen[f"trace_encoder_{letter}_{layer}"] = torch.stack([row[letter] for row in rows])
        x = torch.stack([row["h"] for row in rows])
    return seen


def traces(found: Arrays) -> Arrays:
    return {name: array for name, array in found.items() if name.startswith("trace_")}


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@torch.no_grad()
def test_gates_and_cells_are_what_the_formulas_say(cell: str) -> None:
    model, classify = runner(cell, two_way=False, numbers=Float32())
    for texts in random_texts(60):
        found = traces(classify({"tokens": texts.tokens, "lengths": texts.lengths, "units": np.array(UNITS)}))
        for row, length in enumerate(texts.lengths):
            embedded = model.encoder.embedding(torch.from_numpy(texts.tokens[row, :length]))
            wanted = by_hand(model.encoder.recurrence, cell, embedded)  # type: ignore[arg-type]
            assert set(found) == set(wanted)
            for name, array in found.items():
                assert np.abs(array[row, :length] - wanted[name][:, :UNITS].numpy()).max() < 1e-5, name


@pytest.mark.parametrize(
    ("cell", "numbers"), [*itertools.product(("lstm", "gru", "rnn", "mingru"), (RowwiseInt8, Float32))]
)
@pytest.mark.parametrize("two_way", [False, True])
def test_traces_are_the_same_in_any_batch_and_change_nothing_else(
    cell: str, numbers: type[Arithmetic], two_way: bool
) -> None:
    _, classify = runner(cell, two_way, numbers())
    texts = list(random_texts(60))[2]
    given = {"tokens": texts.tokens, "lengths": texts.lengths}
    together = classify({**given, "units": np.array(UNITS)})
    require_equal("with traces", classify(given), together)
    for row, length in enumerate(texts.lengths):
        one = texts.row(row)
        alone = traces(classify({"tokens": one.tokens, "lengths": one.lengths, "units": np.array(UNITS)}))
        require_equal(
            "alone",
            alone,
            {name: array[row : row + 1, :length] for name, array in together.items() if name in alone},
        )


def test_two_ways_tell_of_both() -> None:
    _, classify = runner("lstm", two_way=True, numbers=Float32())
    assert {"trace_encoder_f_1", "trace_encoder_f_1_reverse", "trace_encoder_h_0_reverse"} <= set(
        classify.spec.traces
    )
    assert "trace_encoder_c_0" not in classify.spec.traces


@torch.no_grad()
def test_the_way_back_is_the_way_there_of_the_text_turned_round() -> None:
    model, classify = runner("gru", two_way=True, numbers=Float32())
    stack = model.encoder.recurrence
    for name, weight in [*stack.named_parameters()]:
        if not name.endswith("_reverse") and name.endswith("l0"):
            getattr(stack, f"{name}_reverse").copy_(weight)
    _, section = classifier("gru", two_way=True)
    classify = Runner(*ClassifierGraphs(model, section, Float32(), traces=True).graphs()["classify"])
    tokens = np.array([[4, 9, 23, 11, 5]])
    there, back = (
        classify({"tokens": each, "lengths": np.array([5]), "units": np.array(UNITS)})
        for each in (tokens, tokens[:, ::-1].copy())
    )
    for letter in "rznh":
        turned: Array = back[f"trace_encoder_{letter}_0_reverse"][:, ::-1]
        assert np.abs(there[f"trace_encoder_{letter}_0"] - turned).max() < 1e-6


@pytest.mark.parametrize("numbers", [RowwiseInt8, Float32])
def test_traces_in_chunks_are_those_of_the_whole(numbers: type[Arithmetic]) -> None:
    _, classify = runner("lstm", two_way=False, numbers=numbers())
    text = list(random_texts(60))[2].row(4)
    units = {"units": np.array(UNITS)}
    whole = traces(classify({"tokens": text.tokens, "lengths": text.lengths, **units}))
    state: Arrays = {}
    pieces: list[Arrays] = []
    for chunk in text.chunks([1, 5, 2]):
        found = classify({"tokens": chunk.tokens, "lengths": chunk.lengths, **units, **state})
        state = classify.states(found)
        pieces.append(traces(found))
    joined = {name: np.concatenate([piece[name] for piece in pieces], axis=1) for name in whole}
    require_equal("chunks", joined, whole)
