"""Models of every cell, direction, depth and attention behind one port: each writes what PyTorch writes.

In float32, so that the texts must be the same; what eight bits make of them is looked at in `tests/training/export`.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import torch

from seqserve.v1 import model_pb2, session_pb2
from service.bundle.tokenizer import EOS, Tokenizer
from tests.bundles import SENTENCES, translator_run
from tests.service.server.test_real_models import Running, serving
from training.export import check
from training.export.bundle import write_bundle
from training.export.decoder import never_written
from training.models.greedy import translate
from training.models.seq2seq import Seq2Seq
from training.modules.attention import ATTENTIONS
from training.modules.cells import CELLS

TEXT = SENTENCES[2]
MAX_LENGTH = 12


def combinations(cell: str) -> Iterator[tuple[str, bool, dict[str, dict[str, object]]]]:
    """Name, whether it reads both ways, and encoder and decoder of each model with this cell."""
    for two_way, layers, look in itertools.product((False, True), (1, 2, 4), ATTENTIONS):
        # Every other deep one has what helps depth.
        helped = {"cell": cell, "layers": layers, "residual": layers == 4, "norm": layers == 4 and two_way}
        encoder = {**helped, "hidden": 8, "bidirectional": two_way}
        decoder = {**helped, "hidden": 8 * (1 + two_way), "attention": look}
        yield f"{cell}-{1 + two_way}-{layers}-{look}", two_way, {"encoder": encoder, "decoder": decoder}


def expected(model: Seq2Seq, tokenizer: Tokenizer) -> str:
    """What PyTorch writes."""
    with torch.no_grad():
        model.output.bias[list(never_written(unknowns=False))] = -1e9
    source = torch.tensor([[*tokenizer.encode(TEXT), EOS]])
    [written] = translate(model, source, torch.tensor([source.shape[1]]), MAX_LENGTH)
    return tokenizer.decode(written)


async def fed_in_pieces(running: Running, name: str) -> str:
    """A session's output after its text came in two pieces."""
    talk = running.talk()
    await talk.say(open=session_pb2.Open(model=model_pb2.ModelSelector(name=name)))
    for piece in (TEXT[:9], TEXT[9:]):
        await talk.feed(piece)
    outputs = await talk.generate(max_length=MAX_LENGTH)
    talk.call.cancel()
    return str(outputs[-1].hypotheses[0].text)


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
async def test_every_combination_is_served_as_pytorch_writes_it_and_in_pieces_where_it_streams(
    cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "SHAPES", ((2, (1, 9)),))
    models = {}
    for seed, (name, two_way, parts) in enumerate(combinations(cell)):
        run = translator_run(name, seed, embedding=16, export={"precision": "fp32"}, **parts)
        write_bundle(run, tmp_path, tell=lambda _: None)
        tokenizer = run.vocabulary.tokenizer
        models[name] = two_way, expected(run.model, tokenizer)
    assert len({text for _, text in models.values()}) > 10, "they differ, and so can be told apart"
    async with serving(tmp_path) as running:
        for name, (two_way, text) in models.items():
            assert (await running.text(TEXT, name, max_length=MAX_LENGTH))[0] == text, name
            if not two_way:
                assert await fed_in_pieces(running, name) == text, name
                continue
            with pytest.raises(grpc.aio.AioRpcError, match="reads the text in both directions") as refused:
                await fed_in_pieces(running, name)
            assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
