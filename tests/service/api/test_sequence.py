"""Whole texts and token streams, over the wire."""

import asyncio

import grpc
import pytest

from seqserve.v1 import decoding_pb2, model_pb2
from seqserve.v1 import sequence_pb2 as pb
from tests.fakes.toy_server import Toys
from tests.fakes.toy_translator import greedy_score, translated
from tests.fakes.wire import model, refused, stream, translate


async def test_translations_come_in_the_order_of_the_texts(toys: Toys) -> None:
    texts = ["uno dos tres", "cuatro", "dos " * 15, "cinco seis"]
    assert await translate(toys, *texts) == [translated(text) for text in texts]


async def test_a_translation_carries_tokens_score_and_why_it_ended(toys: Toys) -> None:
    answer = await toys.sequence.Translate(pb.TranslateRequest(model=model(), texts=["uno dos"]))
    assert (answer.model.name, answer.model.version) == ("toy-es-en", "1")
    [translation] = answer.translations
    assert translation.num_source_tokens == 2
    [best] = translation.hypotheses
    assert [(token.id, token.piece, token.log_prob) for token in best.tokens] == [
        (14, "one", -0.25),
        (15, " two", -0.25),
    ]
    assert best.score == pytest.approx(greedy_score(2))
    assert best.finish_reason == decoding_pb2.FINISH_REASON_END


async def test_an_output_ends_at_max_length(toys: Toys) -> None:
    request = pb.TranslateRequest(
        model=model(), texts=["uno dos tres"], options=decoding_pb2.DecodingOptions(max_length=2)
    )
    [translation] = (await toys.sequence.Translate(request)).translations
    assert translation.hypotheses[0].text == "one two"
    assert translation.hypotheses[0].finish_reason == decoding_pb2.FINISH_REASON_LENGTH


async def test_an_output_does_not_end_before_min_length(toys: Toys) -> None:
    request = pb.TranslateRequest(
        model=model(), texts=["dos"], options=decoding_pb2.DecodingOptions(min_length=3)
    )
    [translation] = (await toys.sequence.Translate(request)).translations
    assert translation.hypotheses[0].text == "two one one"


async def test_a_beam_returns_as_many_hypotheses_as_asked_best_first(toys: Toys) -> None:
    options = decoding_pb2.DecodingOptions(beam_size=4, num_hypotheses=3, length_penalty=0)
    request = pb.TranslateRequest(model=model(), texts=["uno dos", "tres"], options=options)
    for translation in (await toys.sequence.Translate(request)).translations:
        scores = [hypothesis.score for hypothesis in translation.hypotheses]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)


async def test_the_languages_choose_the_model(toys: Toys) -> None:
    selector = model_pb2.ModelSelector(source_language="es", target_language="FR")
    answer = await toys.sequence.Translate(pb.TranslateRequest(model=selector, texts=["uno"]))
    assert answer.model.name == "two-way"


async def test_a_stream_is_the_translation_token_by_token(toys: Toys) -> None:
    text = "uno dos tres cuatro cinco"
    answers = await stream(toys, text)
    pieces = [token.piece for answer in answers for token in answer.tokens]
    assert "".join(pieces) == translated(text)
    assert answers[0].model.name == "toy-es-en"
    assert not any(answer.HasField("model") for answer in answers[1:])
    counted = 0
    for answer in answers:
        counted += len(answer.tokens)
        assert answer.output_position == counted
    assert [answer.finish_reason for answer in answers[:-1]] == [0] * (len(answers) - 1)
    assert answers[-1].finish_reason == decoding_pb2.FINISH_REASON_END
    assert answers[-1].hypotheses[0].text == translated(text)


async def test_a_token_is_sent_before_the_next_one_is_made(toys: Toys) -> None:
    engine = toys.engine()
    engine.hold()
    answers = aiter(toys.sequence.StreamTranslate(pb.StreamTranslateRequest(model=model(), text="uno dos")))
    engine.let(2)  # the text is read, one token is written
    first = await anext(answers)
    assert [token.piece for token in first.tokens] == ["one"]
    engine.let_go()
    rest = [token.piece async for answer in answers for token in answer.tokens]
    assert rest == [" two"]


async def test_a_beam_tells_tokens_when_they_are_certain_and_hypotheses_when_its_search_has_ended(
    toys: Toys,
) -> None:
    options = decoding_pb2.DecodingOptions(beam_size=3, num_hypotheses=2, length_penalty=0, min_length=2)
    request = pb.StreamTranslateRequest(model=model(), text="uno dos", options=options)
    engine = toys.engine()
    engine.hold()
    answers = aiter(toys.sequence.StreamTranslate(request))
    engine.let(4)  # the text is read, the best output ends; another one is asked for
    first = await anext(answers)
    assert ([token.piece for token in first.tokens], len(first.hypotheses)) == (["one", " two"], 0)
    assert (first.output_position, first.finish_reason) == (2, 0)
    engine.let_go()
    [last] = [answer async for answer in answers]
    assert ([token.piece for token in last.tokens], len(last.hypotheses)) == ([], 2)
    assert (last.output_position, last.finish_reason) == (2, decoding_pb2.FINISH_REASON_END)


async def test_labels_come_most_probable_first(toys: Toys) -> None:
    texts = ["uno", "uno dos", "uno dos tres cuatro cinco"]  # 4, 4 + 5, 4 + … + 8
    request = pb.ClassifyRequest(model=model("toy-intents"), texts=texts)
    answer = await toys.sequence.Classify(request)
    labels = [[score.label for score in each.labels] for each in answer.classifications]
    assert labels == [["play", "stop", "ask"], ["ask", "play", "stop"], ["ask", "play", "stop"]]
    assert [score.probability for score in answer.classifications[0].labels] == pytest.approx(
        [0.5, 0.375, 0.125]
    )
    assert [each.num_tokens for each in answer.classifications] == [1, 2, 5]


@pytest.mark.parametrize(("asked", "got"), [(0, 3), (1, 1), (2, 2), (100, 3)])
async def test_as_many_labels_as_asked(toys: Toys, asked: int, got: int) -> None:
    request = pb.ClassifyRequest(model=model("two-way-intents"), texts=["uno"], num_labels=asked)
    [classification] = (await toys.sequence.Classify(request)).classifications
    assert len(classification.labels) == got


async def test_one_text_that_fails_fails_the_request_and_frees_all_slots(toys: Toys) -> None:
    request = pb.TranslateRequest(model=model(), texts=["uno", "diez", "dos " * 20])
    answer = await refused(toys.sequence.Translate(request))
    assert answer.code is grpc.StatusCode.INTERNAL
    assert toys.jobs_active() == 0
    assert await translate(toys, "uno") == ["one"]


async def test_many_requests_at_once_share_batches_and_are_each_as_alone(toys: Toys) -> None:
    texts = ["uno dos", "tres", "cuatro cinco seis", "dos " * 19, "siete ocho"] * 8
    answers = await asyncio.gather(*(translate(toys, text) for text in texts))
    assert [text for [text] in answers] == [translated(text) for text in texts]


async def test_models_are_listed_and_described(toys: Toys) -> None:
    everything = await toys.models.ListModels(model_pb2.ListModelsRequest())
    assert [each.model.name for each in everything.models] == [
        "toy-es-en",
        "toy-intents",
        "two-way",
        "two-way-intents",
    ]
    translators = await toys.models.ListModels(model_pb2.ListModelsRequest(task=model_pb2.TASK_TRANSLATE))
    assert [each.model.name for each in translators.models] == ["toy-es-en", "two-way"]
    described = await toys.models.DescribeModel(model_pb2.DescribeModelRequest(model=model("toy-intents")))
    assert list(described.model.labels) == ["ask", "play", "stop"]
    assert (described.model.task, described.model.vocabulary_size) == (model_pb2.TASK_CLASSIFY, 24)
    assert described.model.streams
    described = await toys.models.DescribeModel(model_pb2.DescribeModelRequest(model=model("two-way")))
    assert not described.model.streams
    assert described.model.why_not_streaming == "its encoder reads both ways"
    assert described.model.generation.max_length == 32
    missing = await refused(toys.models.DescribeModel(model_pb2.DescribeModelRequest(model=model("nobody"))))
    assert missing.code is grpc.StatusCode.NOT_FOUND
