"""Requests over the wire: texts, graphs, sequences. The labels of the toy are the sum of the tokens modulo 3."""

import asyncio
from typing import Any

import grpc
import numpy as np
import pytest

from service.api.inference.sequences import Key, Sequences
from tests.fakes.inference import arrays, denied, in_sequence, request, stub, text, tokens
from tests.fakes.toy_bundles import LABELS
from tests.fakes.toy_server import Toys
from tests.fakes.toy_translator import translated
from tests.fakes.waiting import until

GRAPH = "toy-intents.classify"


async def infer(toys: Toys, *given: Any, **parameters: Any) -> dict[str, Any]:
    return arrays(await stub(toys).ModelInfer(request(*given, **parameters)))


def label(*ids: int) -> int:
    return sum(ids) % 3


async def best(toys: Toys, ids: list[int], **parameters: Any) -> int:
    return int((await infer(toys, GRAPH, tokens(ids), **parameters))["log_probs"].argmax())


# Texts


async def test_texts_are_translated_row_by_row(toys: Toys) -> None:
    texts = ["uno dos", "tres", "cuatro cinco seis"]
    found = await infer(toys, "toy-es-en", text(*texts))
    assert found["text"].tolist() == [[translated(each).encode()] for each in texts]
    assert found["score"].shape == (3, 1)


async def test_options_of_the_task_are_parameters(toys: Toys) -> None:
    found = await infer(toys, "toy-es-en", text("uno dos"), beam_size=4, num_hypotheses=3, length_penalty=0.0)
    assert found["text"].shape == (1, 3)
    assert (np.diff(found["score"][0]) <= 0).all()


async def test_a_parameter_that_nobody_knows_is_refused(toys: Toys) -> None:
    async with denied("INVALID_ARGUMENT", "no parameter is called 'beem_size'.*beam_size"):
        await infer(toys, "toy-es-en", text("uno"), beem_size=4)
    async with denied("INVALID_ARGUMENT", "beam_size is a number, not 'four'"):
        await infer(toys, "toy-es-en", text("uno"), beam_size="four")
    async with denied("INVALID_ARGUMENT", "'num_labels' where tensors go in"):
        await infer(toys, GRAPH, tokens([4]), num_labels=1)


async def test_texts_are_labelled_with_as_many_labels_as_asked(toys: Toys) -> None:
    found = await infer(toys, "toy-intents", text("uno dos", "tres"), num_labels=2)
    assert found["label"].shape == (2, 2)
    assert found["label"][:, 0].tolist() == [LABELS[label(4, 5)].encode(), LABELS[label(6)].encode()]
    assert found["probability"].tolist() == [[0.5, 0.375], [0.5, 0.375]]


async def test_a_text_that_is_no_utf_8_is_refused(toys: Toys) -> None:
    async with denied("INVALID_ARGUMENT", "text is not UTF-8"):
        await infer(toys, "toy-es-en", {"text": np.array([[b"\xff"]], object)})


async def test_text_fed_in_a_sequence_is_labelled_as_it_comes(toys: Toys) -> None:
    first = await infer(toys, "toy-intents", text("uno "), **in_sequence(5, starts=True))
    last = await infer(toys, "toy-intents", text("dos tres"), **in_sequence(5, ends=True))
    whole = await infer(toys, "toy-intents", text("uno dos tres"))
    assert first["label"][0, 0] == LABELS[label(4)].encode()
    assert last["label"].tolist() == whole["label"].tolist()


async def test_half_a_word_has_no_label_yet(toys: Toys) -> None:
    found = await infer(toys, "toy-intents", text("un"), **in_sequence(5, starts=True))
    assert found["label"].shape == (1, 0)


async def test_text_fed_in_a_sequence_is_translated_at_its_end(toys: Toys) -> None:
    first = await infer(toys, "toy-es-en", text("uno "), **in_sequence("a", starts=True))
    last = await infer(toys, "toy-es-en", text("dos tres"), **in_sequence("a", ends=True))
    assert first["text"].shape == (1, 0)
    assert last["text"].tolist() == [[translated("uno dos tres").encode()]]


async def test_a_model_that_wants_the_whole_text_takes_none_in_a_sequence(toys: Toys) -> None:
    async with denied("FAILED_PRECONDITION", "two-way cannot be fed"):
        await infer(toys, "two-way", text("uno"), **in_sequence(1, starts=True))


# Graphs


async def test_rows_of_a_graph_stand_alone(toys: Toys) -> None:
    found = await infer(toys, GRAPH, tokens([4, 5], [6, 8]))
    assert found["log_probs"].argmax(1).tolist() == [label(4, 5), label(6, 8)]


async def test_rows_are_cut_to_the_lengths_that_are_given(toys: Toys) -> None:
    lengths = {"lengths": np.array([1, 2], np.int64)}
    found = await infer(toys, GRAPH, tokens([4, 5], [6, 8]) | lengths)
    assert found["log_probs"].argmax(1).tolist() == [label(4), label(6, 8)]
    async with denied("INVALID_ARGUMENT", "lengths along time must be 1 to 2"):
        await infer(toys, GRAPH, tokens([4, 5]) | {"lengths": np.array([3], np.int64)})


async def test_typed_tensors_are_answered_typed_and_raw_ones_raw(toys: Toys) -> None:
    typed = await stub(toys).ModelInfer(request(GRAPH, tokens([4, 5]), raw=False))
    raw = await stub(toys).ModelInfer(request(GRAPH, tokens([4, 5])))
    assert (len(typed.raw_output_contents), len(raw.raw_output_contents)) == (0, 1)
    assert arrays(typed)["log_probs"].tobytes() == arrays(raw)["log_probs"].tobytes()


async def test_the_answer_says_whose_it_is(toys: Toys) -> None:
    answer = await stub(toys).ModelInfer(request(GRAPH, tokens([4]), id="seven", version="1"))
    assert (answer.model_name, answer.model_version, answer.id) == (GRAPH, "1", "seven")


async def test_only_the_outputs_that_are_asked_for_come(toys: Toys) -> None:
    found = await infer(toys, "toy-intents", text("uno"), wanted=("probability",))
    assert list(found) == ["probability"]
    async with denied("INVALID_ARGUMENT", "no output is called 'logits'.*log_probs"):
        await infer(toys, GRAPH, tokens([4]), wanted=("logits",))


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({}, "no inputs"),
        ({"text": np.array([[b"uno"]], object)}, "expected the inputs tokens, .lengths., not text"),
        ({"tokens": np.array([[4]], np.int32)}, "tokens is int32; expected int64"),
        ({"tokens": np.array([[[4]]], np.int64)}, r"shape \[1, 1, 1\]; expected \[1, time\]"),
        ({"tokens": np.array([[-1]], np.int64)}, "ids of the vocabulary"),
        ({"tokens": np.array([[10_000]], np.int64)}, "ids of the vocabulary"),
        ({"tokens": np.zeros((1, 1001), np.int64)}, "1,001 along time; expected 1 to 1,000"),
        ({"tokens": np.zeros((65, 1), np.int64)}, "65 rows are too many"),
    ],
)
async def test_tensors_that_do_not_fit_are_refused_and_reach_no_engine(
    toys: Toys, inputs: Any, why: str
) -> None:
    async with denied("INVALID_ARGUMENT", why):
        await infer(toys, GRAPH, inputs)
    assert not toys.engine("toy-intents").rows


async def test_an_unknown_model_graph_or_version_is_not_found(toys: Toys) -> None:
    for name, version in (("nobody", ""), ("toy-intents.step", ""), ("toy-intents", "2"), (GRAPH, "2")):
        async with denied("NOT_FOUND"):
            await infer(toys, name, tokens([4]), version=version)
    async with denied("INVALID_ARGUMENT", "names no model"):
        await infer(toys, "", tokens([4]))


# Sequences


async def test_a_sequence_goes_on_from_where_it_stood(toys: Toys) -> None:
    assert await best(toys, [4, 5], **in_sequence(42, starts=True)) == label(4, 5)
    assert await best(toys, [8], **in_sequence(42)) == label(4, 5, 8)
    assert await best(toys, [9], **in_sequence(42, ends=True)) == label(4, 5, 8, 9)


async def test_a_sequence_that_was_not_started_or_has_ended_is_not_found(toys: Toys) -> None:
    async with denied("NOT_FOUND", "no sequence 42 of toy-intents.*sequence_start"):
        await best(toys, [4], **in_sequence(42))
    await best(toys, [4], **in_sequence(42, starts=True, ends=True))
    async with denied("NOT_FOUND", "no sequence 42"):
        await best(toys, [4], **in_sequence(42))


async def test_a_sequence_that_starts_again_knows_nothing_of_the_first(toys: Toys) -> None:
    await best(toys, [4], **in_sequence(42, starts=True))
    assert await best(toys, [9], **in_sequence(42, starts=True)) == label(9)
    assert await best(toys, [8], **in_sequence(42)) == label(9, 8)
    assert len(toys.server.sessions) == 1


async def test_the_same_id_of_another_connection_is_another_sequence(toys: Toys) -> None:
    await best(toys, [4], **in_sequence(42, starts=True))
    async with grpc.aio.insecure_channel(
        toys.server.address, [("grpc.use_local_subchannel_pool", 1)]
    ) as other:
        elsewhere = Toys(toys.server, toys.engines, other, toys.sequence, toys.models)
        async with denied("NOT_FOUND", "no sequence 42"):
            await best(elsewhere, [8], **in_sequence(42))
        assert await best(elsewhere, [9], **in_sequence(42, starts=True)) == label(9)
        assert await best(toys, [5], **in_sequence(42)) == label(4, 5)
        assert await best(elsewhere, [5], **in_sequence(42)) == label(9, 5)


async def test_a_key_of_affinity_takes_the_place_of_the_connection(toys: Toys) -> None:
    key = (("seqserve-session", "mine"),)
    service = stub(toys)
    await service.ModelInfer(request(GRAPH, tokens([4]), **in_sequence(1, starts=True)), metadata=key)
    async with grpc.aio.insecure_channel(
        toys.server.address, [("grpc.use_local_subchannel_pool", 1)]
    ) as other:
        again = stub(Toys(toys.server, toys.engines, other, toys.sequence, toys.models))
        answer = await again.ModelInfer(request(GRAPH, tokens([5]), **in_sequence(1)), metadata=key)
    assert arrays(answer)["log_probs"].argmax() == label(4, 5)
    async with denied("NOT_FOUND"):
        await best(toys, [5], **in_sequence(1))


async def test_a_number_and_a_text_are_two_ids_and_two_models_have_their_own(toys: Toys) -> None:
    await best(toys, [4], **in_sequence(7, starts=True))
    await best(toys, [5], **in_sequence("7", starts=True))
    async with denied("NOT_FOUND"):
        await infer(toys, "toy-es-en.encode", tokens([4]), **in_sequence(7))
    assert await best(toys, [9], **in_sequence(7)) == label(4, 9)
    assert await best(toys, [9], **in_sequence("7")) == label(5, 9)


async def test_the_graphs_of_a_model_share_its_sequences(toys: Toys) -> None:
    await infer(toys, "toy-es-en.encode", tokens([4, 5]), **in_sequence(1, starts=True))
    await infer(toys, "toy-es-en.encode", tokens([6]), **in_sequence(1))
    written, token = [], 1
    for _ in range(3):
        given = {"token": np.array([[token]], np.int64), "k": np.array([[2]], np.int64)}
        found = await infer(toys, "toy-es-en.step", given, **in_sequence(1))
        assert found["top_tokens"].shape == (1, 2)
        written.append(token := int(found["top_tokens"][0, 0]))
    assert written == [14, 15, 16]


async def test_a_graph_that_looks_at_a_context_needs_a_sequence_that_has_one(toys: Toys) -> None:
    given = {"token": np.array([[1]], np.int64)}
    for parameters in ({}, in_sequence(1, starts=True)):
        async with denied("FAILED_PRECONDITION", "needs 'memory'"):
            await infer(toys, "toy-es-en.step", given, **parameters)


async def test_a_context_has_a_limit_in_however_many_pieces_it_comes(toys: Toys) -> None:
    await infer(toys, "toy-es-en.encode", tokens([4] * 12), **in_sequence(1, starts=True))
    async with denied("INVALID_ARGUMENT", "24 inputs with this.*at most 20"):
        await infer(toys, "toy-es-en.encode", tokens([4] * 12), **in_sequence(1))
    await infer(toys, "toy-es-en.encode", tokens([4] * 8), **in_sequence(1))


async def test_a_request_that_fails_leaves_its_sequence_where_it_stood(toys: Toys) -> None:
    await best(toys, [4], **in_sequence(42, starts=True))
    with pytest.raises(grpc.aio.AioRpcError):
        await best(toys, [13], **in_sequence(42, ends=True))  # the toy chokes on 13
    for bad in ({"tokens": np.array([[-1]], np.int64)}, tokens([4], [5]), {}):
        async with denied("INVALID_ARGUMENT"):
            await infer(toys, GRAPH, bad, **in_sequence(42, starts=True))
    assert await best(toys, [5], **in_sequence(42)) == label(4, 5)
    assert len(toys.server.sessions) == 1


async def test_a_first_request_that_fails_leaves_nothing_behind(toys: Toys) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await best(toys, [13], **in_sequence(42, starts=True))
    assert len(toys.server.sessions) == 0
    async with denied("NOT_FOUND"):
        await best(toys, [4], **in_sequence(42))


async def test_requests_of_a_sequence_are_worked_off_in_their_order(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, came, hold = list(range(4, 13)), list[Key](), Sequences.hold

    def noted(self: Sequences, key: Key, *given: Any, **more: Any) -> Any:
        came.append(key)
        return hold(self, key, *given, **more)

    monkeypatch.setattr(Sequences, "hold", noted)
    toys.engine("toy-intents").hold()
    calls = []
    for index, token in enumerate(ids):
        calls.append(asyncio.ensure_future(best(toys, [token], **in_sequence(42, starts=index == 0))))
        await until(lambda: len(came) > index)  # noqa: B023  (it is called before the next one)
    toys.engine("toy-intents").let_go()
    sums = [label(*ids[: index + 1]) for index in range(len(ids))]
    assert await asyncio.gather(*calls) == sums


async def test_a_request_whose_time_is_over_changes_nothing(toys: Toys) -> None:
    await best(toys, [4], **in_sequence(42, starts=True))
    toys.engine("toy-intents").hold()
    async with denied("DEADLINE_EXCEEDED", "0.05 seconds.*nothing has changed"):
        await best(toys, [5], timeout=50_000, **in_sequence(42))
    toys.engine("toy-intents").let_go()
    assert await best(toys, [8], **in_sequence(42)) == label(4, 8)


async def test_a_model_that_keeps_nothing_takes_no_sequences(toys: Toys) -> None:
    async with denied("FAILED_PRECONDITION", "keeps nothing from one request to the next"):
        await infer(toys, "two-way-intents.classify", tokens([4]), **in_sequence(1, starts=True))


async def test_a_sequence_stays_with_its_version(toys: Toys) -> None:
    await best(toys, [4], **in_sequence(42, starts=True))
    async with denied("FAILED_PRECONDITION", "runs on version 1"):
        await best(toys, [4], version="2", **in_sequence(42))


async def test_start_and_end_want_an_id(toys: Toys) -> None:
    for nothing in (0, ""):
        async with denied("INVALID_ARGUMENT", "belong to a sequence"):
            await best(toys, [4], **in_sequence(nothing, starts=True))
