"""Decoding options over the wire: whole texts, streams and sessions."""

from typing import Any

import grpc
import pytest

from seqserve.v1 import sequence_pb2 as pb
from seqserve.v1.decoding_pb2 import FINISH_REASON_STOP, DecodingOptions, Hypothesis, Token
from seqserve.v1.session_pb2 import Generate, Rewind
from tests.fakes.toy_bundles import write_toy_translator
from tests.fakes.toy_server import Toys, serve_toys, write_toys
from tests.fakes.wire import model, refused, talking

TEXT = "uno dos tres cuatro cinco"
ANY_TEN: dict[str, Any] = {"temperature": 8.0, "min_length": 10}
"""Ten tokens at least, each nearly any of the vocabulary: two draws are never alike by chance."""
REFUSED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION

WISHES: list[dict[str, Any]] = [
    {},
    {"beam_size": 3},
    {"beam_size": 4, "num_hypotheses": 3, "coverage_penalty": 0.5, "length_penalty": 0.5},
    {"temperature": 3.0, "seed": 1},
    {"sampling_topk": 5, "temperature": 5.0, "seed": 2**64 - 1},
    {"sampling_topp": 0.75, "seed": 3, "stop": ["two", "nine t"]},
    {"repetition_penalty": 3.0, "min_length": 9, "max_length": 12},
    {"no_repeat_ngram_size": 2, "min_length": 9, "max_length": 12},
    {"target_prefix": "nine eight", "num_alternatives": 2},
    {"stop": ["three f"], "return_attention": True},
    {"beam_size": 3, "stop": ["e t"], "num_alternatives": 1, "return_attention": True},
]


async def whole(toys: Toys, text: str, name: str = "toy-es-en", **options: Any) -> pb.Translation:
    request = pb.TranslateRequest(model=model(name), texts=[text], options=DecodingOptions(**options))
    return (await toys.sequence.Translate(request)).translations[0]


async def streamed(toys: Toys, text: str, **options: Any) -> list[pb.StreamTranslateResponse]:
    request = pb.StreamTranslateRequest(model=model(), text=text, options=DecodingOptions(**options))
    return [answer async for answer in toys.sequence.StreamTranslate(request)]


def best(translation: pb.Translation) -> Hypothesis:
    return translation.hypotheses[0]


def tokens(answers: list[Any]) -> list[Token]:
    return [token for answer in answers for token in answer.tokens]


@pytest.mark.parametrize("options", WISHES)
async def test_a_stream_and_a_session_write_what_a_whole_text_gets(
    toys: Toys, options: dict[str, Any]
) -> None:
    expected = await whole(toys, TEXT, **options)
    answers = await streamed(toys, TEXT, **options)
    async with talking(toys) as (talk, _):
        await talk.feed(TEXT)
        outputs = await talk.generate(**options)
        again = await talk.generate(turn=1, **options)
    for heard in (answers, outputs, again):
        assert list(heard[-1].hypotheses) == list(expected.hypotheses)
        assert tokens(heard) == list(best(expected).tokens)
        assert heard[-1].finish_reason == best(expected).finish_reason
    assert answers[-1].output_position == len(best(expected).tokens)
    assert "".join(token.piece for token in best(expected).tokens) == best(expected).text


async def test_what_is_drawn_is_the_same_alone_and_in_a_batch_of_64(toys: Toys) -> None:
    options = DecodingOptions(temperature=4.0, seed=11, max_length=20)
    texts = [TEXT, *(["seis siete", "uno", "dos tres cuatro"] * 21)]
    request = pb.TranslateRequest(model=model(), texts=texts, options=options)
    together = (await toys.sequence.Translate(request)).translations
    for text, translation in list(zip(texts, together, strict=True))[:4]:
        assert translation == await whole(toys, text, temperature=4.0, seed=11, max_length=20)
    assert together[0].hypotheses[0].text != "one two three four five"


async def test_seeds_differ_and_one_that_was_left_out_is_told(toys: Toys) -> None:
    texts = {best(await whole(toys, TEXT, **ANY_TEN, seed=seed)).text for seed in range(8)}
    assert len(texts) == 8
    drawn = best(await whole(toys, TEXT, **ANY_TEN))
    assert drawn.seed
    assert best(await whole(toys, TEXT, **ANY_TEN, seed=drawn.seed)) == drawn
    assert best(await whole(toys, TEXT)).seed == 0


async def test_texts_of_one_request_draw_apart_unless_a_seed_is_given(toys: Toys) -> None:
    request = pb.TranslateRequest(model=model(), texts=[TEXT] * 4, options=DecodingOptions(**ANY_TEN))
    free = (await toys.sequence.Translate(request)).translations
    assert len({best(each).text for each in free}) == 4
    request.options.seed = 5
    same = (await toys.sequence.Translate(request)).translations
    assert len({best(each).text for each in same}) == 1


async def test_a_session_draws_anew_in_each_turn_and_after_a_rewind_but_not_in_the_same_turn(
    toys: Toys,
) -> None:
    async with talking(toys) as (talk, _):
        await talk.feed(TEXT, turn=0)
        first = (await talk.generate(turn=1, **ANY_TEN))[-1].hypotheses[0]
        again = (await talk.generate(turn=1, **ANY_TEN))[-1].hypotheses[0]
        await talk.say(rewind=Rewind(after_turn=0), turn=2)
        other = (await talk.generate(turn=3, **ANY_TEN))[-1].hypotheses[0]
    assert first == again
    assert other.seed != first.seed
    assert other.text != first.text


async def test_a_seed_draws_the_same_after_a_rewind(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        await talk.feed(TEXT, turn=0)
        first = (await talk.generate(temperature=8.0, seed=9))[-1].hypotheses[0]
        await talk.say(rewind=Rewind(after_turn=0))
        assert (await talk.generate(temperature=8.0, seed=9))[-1].hypotheses[0] == first


async def test_an_output_that_stops_says_so_and_the_session_counts_what_it_told(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        await talk.feed(TEXT)
        outputs = await talk.generate(stop=["three f"])
        assert outputs[-1].finish_reason == FINISH_REASON_STOP
        assert outputs[-1].hypotheses[0].text == "one two "
        told = tokens(outputs)
        assert [token.piece for token in told] == ["one", " two", " "]
        assert outputs[-1].output_position == len(told)
        await talk.feed("seis")
        assert (await talk.generate())[-1].output_position == len(told) + 1


async def test_attention_belongs_to_pieces_of_the_source(toys: Toys) -> None:
    translation = await whole(toys, "uno gato tres", return_attention=True)
    assert list(translation.source_pieces) == ["uno", " gato", " tres", ""]
    for at, token in enumerate(best(translation).tokens):
        assert token.attention[at] == 0.75
        assert sum(token.attention) == pytest.approx(1)
    assert not (await whole(toys, "uno", num_alternatives=1)).source_pieces


async def test_alternatives_have_pieces_as_they_would_have_been_written(toys: Toys) -> None:
    first, second = best(await whole(toys, "uno dos", num_alternatives=2)).tokens
    assert [(each.piece, each.log_prob) for each in first.alternatives] == [("", -0.5), ("two", -0.75)]
    assert [each.piece for each in second.alternatives] == ["", " one"]


async def test_unknown_words_are_copied_where_the_model_may_write_unknown_tokens(tmp_path: Any) -> None:
    def write(models: Any) -> None:
        write_toys(models)
        write_toy_translator(models, "copies", writes_unknowns=True, target_language="de")

    async with serve_toys(tmp_path, write) as toys:
        for name, options, text in (
            ("copies", {}, "one ten three ten"),
            ("copies", {"replace_unknowns": True}, "one Gato three perro!"),
            ("toy-es-en", {"replace_unknowns": True}, "one ten three ten"),
            (
                "copies",
                {"replace_unknowns": True, "beam_size": 2, "length_penalty": 4.0},
                "one Gato three perro!",
            ),
        ):
            assert best(await whole(toys, "uno Gato tres perro!", name, **options)).text == text
        request = pb.StreamTranslateRequest(
            model=model("copies"), text="Gato uno", options=DecodingOptions(replace_unknowns=True)
        )
        answers = [answer async for answer in toys.sequence.StreamTranslate(request)]
        assert "".join(token.piece for token in tokens(answers)) == "Gato one"


async def test_scores_are_the_log_probabilities_of_what_was_given(toys: Toys) -> None:
    pairs = [
        pb.ScoredPair(source="uno dos", target="one two"),
        pb.ScoredPair(source="uno dos", target="one"),
        pb.ScoredPair(source="uno", target="two"),
    ]
    answer = await toys.sequence.Score(pb.ScoreRequest(model=model(), pairs=pairs))
    scores = [[(token.piece, token.log_prob) for token in each.tokens] for each in answer.scores]
    assert scores == [
        [("one", -0.25), (" two", -0.25), ("", -0.25)],
        [("one", -0.25), ("", -0.5)],
        [("two", -0.75), ("", -0.25)],
    ]
    assert [each.log_prob for each in answer.scores] == [-0.75, -0.75, -1.0]


async def test_the_score_of_what_was_written_is_what_it_was_written_with(toys: Toys) -> None:
    drawn = best(await whole(toys, TEXT, temperature=4.0, seed=3, max_length=9, length_penalty=0.0))
    request = pb.ScoreRequest(model=model(), pairs=[pb.ScoredPair(source=TEXT, target=drawn.text)])
    [score] = (await toys.sequence.Score(request)).scores
    num = len(drawn.tokens)
    assert [token.log_prob for token in score.tokens[:num]] == [token.log_prob for token in drawn.tokens]


@pytest.mark.parametrize(
    ("pair", "field"),
    [
        ({"source": "", "target": "one"}, "pairs[0].source"),
        ({"source": "uno", "target": " "}, "pairs[0].target"),
        ({"source": "uno", "target": "one " * 41}, "pairs[0].target"),
    ],
)
async def test_pairs_that_cannot_be_scored(toys: Toys, pair: dict[str, str], field: str) -> None:
    request = pb.ScoreRequest(model=model(), pairs=[pb.ScoredPair(**pair)])
    answer = await refused(toys.sequence.Score(request))
    assert (answer.code, answer.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


async def test_a_model_that_does_not_write_has_nothing_to_score(toys: Toys) -> None:
    request = pb.ScoreRequest(model=model("toy-intents"), pairs=[pb.ScoredPair(source="uno", target="one")])
    assert (await refused(toys.sequence.Score(request))).code is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("options", "field", "valid"),
    [
        ({"coverage_penalty": 5.5}, "coverage_penalty", "0 to 5"),
        ({"repetition_penalty": 0.5}, "repetition_penalty", "1 to 10"),
        ({"repetition_penalty": float("nan")}, "repetition_penalty", "1 to 10"),
        ({"no_repeat_ngram_size": 17}, "no_repeat_ngram_size", "0 to 16"),
        ({"sampling_topk": -1}, "sampling_topk", "0 to 1000"),
        ({"sampling_topk": 1001}, "sampling_topk", "0 to 1000"),
        ({"sampling_topp": 0.0}, "sampling_topp", "above 0 and at most 1"),
        ({"sampling_topp": 1.5}, "sampling_topp", "above 0 and at most 1"),
        ({"temperature": 0.0}, "temperature", "above 0 and at most 10"),
        ({"temperature": float("nan")}, "temperature", "above 0 and at most 10"),
        ({"num_alternatives": 17}, "num_alternatives", "0 to 16"),
        ({"stop": ["a"] * 17}, "stop", "the limit is 16"),
        ({"stop": ["one", ""]}, "stop[1]", "1 to 256 characters"),
        ({"stop": ["x" * 257]}, "stop[0]", "1 to 256 characters"),
        ({"target_prefix": "x" * 4097}, "target_prefix", "4,096 characters"),
        ({"target_prefix": "one unheard"}, "target_prefix", "cannot write"),
        ({"target_prefix": "  "}, "target_prefix", "nothing that can be written"),
        ({"target_prefix": "one two", "max_length": 1}, "target_prefix", "2 tokens"),
        ({"beam_size": 2, "seed": 1}, "seed", "drawing"),
        ({"beam_size": 2, "sampling_topk": 3}, "sampling_topk", "drawing"),
        ({"temperature": 2.0, "num_hypotheses": 2}, "num_hypotheses", "1 to 1"),
    ],
)
async def test_options_out_of_bounds(toys: Toys, options: dict[str, Any], field: str, valid: str) -> None:
    answer = await refused(whole(toys, "uno", **options))
    assert (answer.code, answer.field) == (grpc.StatusCode.INVALID_ARGUMENT, f"options.{field}")
    assert valid in answer.message
    async with talking(toys) as (talk, _):
        await talk.feed("uno ")
        answer = await refused(talk.say(generate=Generate(options=DecodingOptions(**options))))
    assert answer.field == f"generate.options.{field}"


@pytest.mark.parametrize("option", ["return_attention", "replace_unknowns", "coverage_penalty"])
async def test_what_needs_attention_is_refused_where_there_is_none(toys: Toys, option: str) -> None:
    answer = await refused(whole(toys, "uno", "two-way", **{option: 1}))
    assert answer.code is grpc.StatusCode.FAILED_PRECONDITION
    assert f"options.{option}" in answer.message


async def test_a_session_does_not_replace_unknowns(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        await talk.feed("uno ")
        answer = await refused(talk.generate(replace_unknowns=True))
    assert answer.code is grpc.StatusCode.FAILED_PRECONDITION
