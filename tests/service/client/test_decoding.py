"""Decoding options on their way to the server, and what comes back with tokens."""

import pytest

from seqserve.v1 import decoding_pb2, model_pb2, sequence_pb2
from service.client import InvalidRequest, replies, requests
from service.client.options import Decoding

EVERYTHING: Decoding = {
    "beam_size": 1,
    "num_hypotheses": 1,
    "length_penalty": 0.5,
    "max_length": 9,
    "min_length": 1,
    "coverage_penalty": 0.25,
    "repetition_penalty": 1.5,
    "no_repeat_ngram_size": 3,
    "target_prefix": "the",
    "sampling_topk": 5,
    "sampling_topp": 0.5,
    "temperature": 2.0,
    "seed": 2**64 - 1,
    "stop": ("a", "b"),
    "return_attention": True,
    "num_alternatives": 2,
    "replace_unknowns": True,
}


def test_every_option_of_the_wire_is_an_argument_and_reaches_it() -> None:
    sent = requests.decoding(EVERYTHING)
    fields = {field.name for field in sent.DESCRIPTOR.fields}
    assert {field.name for field, _ in sent.ListFields()} == fields == set(EVERYTHING)
    for name, value in EVERYTHING.items():
        found = getattr(sent, name)
        assert (tuple(found) if name == "stop" else found) == value


def test_none_is_as_good_as_left_out() -> None:
    asked: Decoding = {"seed": None, "stop": None, "temperature": None}
    assert requests.decoding(asked) == decoding_pb2.DecodingOptions()


def test_a_stream_is_greedy_unless_told_otherwise() -> None:
    streamed = [requests.decoding(asked, requests.GREEDY) for asked in ({}, {"seed": 1}, {"beam_size": 3})]  # type: ignore[arg-type]
    assert [each.HasField("beam_size") for each in streamed] == [True, False, True]
    assert [each.beam_size for each in streamed] == [1, 0, 3]


@pytest.mark.parametrize(("name", "value"), [("sampling_topk", 2**31), ("seed", -1), ("seed", 2**64)])
def test_a_number_that_the_wire_cannot_carry_is_refused(name: str, value: int) -> None:
    with pytest.raises(InvalidRequest):
        requests.translate(["a"], {name: value})  # type: ignore[misc]


def test_tokens_come_with_attention_and_alternatives_and_are_aligned() -> None:
    other = decoding_pb2.Alternative(id=5, piece=" two", log_prob=-1.0)
    token = decoding_pb2.Token(id=4, piece="one", log_prob=-0.5, attention=[0.25, 0.75], alternatives=[other])
    best = decoding_pb2.Hypothesis(text="one", score=-0.5, tokens=[token], seed=9)
    answer = sequence_pb2.TranslateResponse(
        model=model_pb2.ModelVersion(name="m", version="1"),
        translations=[sequence_pb2.Translation(hypotheses=[best], source_pieces=["uno", ""])],
    )
    [translation] = replies.translations(answer)
    assert translation.seed == 9
    [first] = translation.tokens
    assert [(each.piece, each.id, each.log_prob) for each in first.alternatives] == [(" two", 5, -1.0)]
    assert translation.aligned == ((first, "", 0.75),)
