"""Language models of the real exporter, over the wire, by both clients."""

from collections.abc import Iterator

import pytest

from service.bundle.tokenizer import EOS
from service.client import AsyncClient, Client, InvalidRequest, ModelNotFound, NotPossible
from tests.bundles import SENTENCES, write_classifier, write_language_model
from tests.fakes.real_thread import real_on_a_thread


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    models = tmp_path_factory.mktemp("models")
    write_language_model(models)
    write_language_model(models, "toy-chat", seed=1, task="chat")
    write_classifier(models)
    with real_on_a_thread(models) as found:
        yield found


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


def test_prompts_are_gone_on_with_in_order(client: Client) -> None:
    found = client.generate(list(SENTENCES), max_length=8)
    assert [each.text for each in found] == [client.generate(text, max_length=8).text for text in SENTENCES]
    assert [each.num_prompt_tokens for each in found] == list(map(len, SENTENCES))
    assert len(found[0].tokens) == len(found[0].text) == 8
    assert found[0].finish_reason == "length"
    assert str(found[0].model) == "toy-text/1"


def test_an_empty_prompt_begins_a_text(client: Client) -> None:
    assert client.generate("", max_length=5).num_prompt_tokens == 0
    assert client.generate("", max_length=5).text == client.generate([""], max_length=5)[0].text


def test_a_stream_says_what_the_whole_says(client: Client) -> None:
    with client.stream_generate("the cat", max_length=20) as stream:
        text = "".join(token.piece for token in stream)
    assert text == stream.result.text == client.generate("the cat", max_length=20).text


def test_white_space_and_line_ends_are_tokens_of_a_prompt(client: Client) -> None:
    assert client.generate(" \n\t ", max_length=3).num_prompt_tokens == 4


async def test_the_async_client_says_the_same(address: str, client: Client) -> None:
    async with AsyncClient(address) as other:
        assert await other.generate("the cat", max_length=6) == client.generate("the cat", max_length=6)
        assert len(await other.generate(["a", "b", "c"], max_length=2)) == 3
        async with other.stream_generate("the cat", max_length=6) as stream:
            assert (await stream.finish()).text == client.generate("the cat", max_length=6).text


def test_a_chat_model_replies_by_name(client: Client) -> None:
    reply = client.generate("the cat sits on the mat", model="toy-chat", max_length=10)
    with client.session(model="toy-chat") as session:
        session.feed("the cat sits on the mat")
        assert session.generate(max_length=10).finish().text == reply.text
        with pytest.raises(NotPossible, match="nothing was said since the last reply"):
            session.generate().finish()
        session.feed("play some jazz")
        assert len(session.generate(max_length=10, min_length=10).finish().tokens) == 10


def test_a_session_goes_on_from_what_it_wrote(client: Client) -> None:
    with client.session(model="toy-text") as session:
        session.feed("the ca")
        assert session.feed("t").input_position == 7
        first = session.generate(max_length=6).finish().text
        assert session.output_position == 6
        second = session.generate(max_length=6).finish().text
    assert first + second == client.generate("the cat", max_length=12).text


def test_a_session_that_was_left_is_taken_up(client: Client) -> None:
    with client.session(model="toy-text") as session:
        session.feed("the cat")
        session.generate(max_length=6).finish()
        session.detach()
        with client.resume(session.session_id) as again:
            text = again.generate(max_length=6).finish().text
    assert text == client.generate("the cat", max_length=12).text[6:]


@pytest.mark.parametrize(
    ("prompts", "max_length", "complaint"),
    [
        (["x" * 201], 5, r"prompts\[0\] has 201 tokens; toy-text reads at most 200"),
        (["x", "\ud800"], 5, r"texts\[1\] is not valid Unicode"),
        (["x"], 31, r"options\.max_length must be 1 to 30"),
    ],
    ids=["too long", "no text", "too much"],
)
def test_bad_input_is_refused_with_what_was_expected(
    client: Client, prompts: list[str], max_length: int, complaint: str
) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        client.generate(prompts, max_length=max_length)


def test_a_model_of_another_task_is_refused(client: Client) -> None:
    with pytest.raises(ModelNotFound, match="toy-intents does not serve the task generate"):
        client.generate("x", model="toy-intents")


def test_a_text_is_scored_as_it_would_be_written(client: Client) -> None:
    written = client.generate("the cat", max_length=20)
    [score] = client.score([("the cat", written.text)], model="toy-text")
    assert [token.id for token in score.tokens] == [token.id for token in written.tokens]
    for scored, token in zip(score.tokens, written.tokens, strict=True):
        assert scored.log_prob == pytest.approx(
            token.log_prob, abs=0.1
        )  # a chunk rounds otherwise than a step
    assert score.log_prob == pytest.approx(sum(token.log_prob for token in score.tokens), rel=1e-5)


def test_a_score_is_the_same_alone_and_among_others_and_adds_up(client: Client) -> None:
    together = client.score([("", text) for text in SENTENCES * 3], model="toy-text")
    alone = [client.score([("", text)], model="toy-text")[0] for text in SENTENCES]
    assert together == alone * 3
    whole, text = alone[0], SENTENCES[0]
    [rest] = client.score([(text[:9], text[9:])], model="toy-text")
    assert rest.tokens == whole.tokens[9:]


def test_replies_are_scored_with_their_ends(client: Client) -> None:
    [score] = client.score([(SENTENCES[0], SENTENCES[1])], model="toy-chat")
    [both] = client.score([("", f"{SENTENCES[0]}\n{SENTENCES[1]}")], model="toy-chat")
    assert score.tokens[-1].id == EOS
    same = both.tokens[-len(score.tokens) :]
    assert [(token.id, token.log_prob) for token in same] == [(t.id, t.log_prob) for t in score.tokens]
    assert [token.id for token in both.tokens].count(EOS) == 2


def test_nothing_is_not_scored(client: Client) -> None:
    with pytest.raises(InvalidRequest, match=r"pairs\[1\]\.target holds nothing that could be scored"):
        client.score([("", "x"), ("x", "")], model="toy-text")
    with pytest.raises(NotPossible, match="does not write: there is nothing to score"):
        client.score([("", "x")], model="toy-intents")


def test_a_dialogue_without_a_session_is_a_turn_a_line(client: Client) -> None:
    turns = list(SENTENCES[:3])
    found = client.generate("\n".join(turns), model="toy-chat", max_length=8)
    assert found.num_prompt_tokens == 2 + sum(
        client.generate(turn, model="toy-chat", max_length=1).num_prompt_tokens for turn in turns
    )
    [score] = client.score([("\n".join(turns), found.text)], model="toy-chat")
    if [token.id for token in score.tokens[:-1]] == [token.id for token in found.tokens]:
        assert score.tokens[0].log_prob == pytest.approx(found.tokens[0].log_prob, abs=0.1)
    with pytest.raises(InvalidRequest, match="says nothing"):
        client.generate(["hello", " "], model="toy-chat")
