"""`seqserve generate`, `chat` and `evaluate` against a server of language models."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.client import Client
from tests.bundles import SENTENCES, write_language_model
from tests.fakes.real_thread import real_on_a_thread
from tests.service.cli.conftest import Seqserve
from tests.service.cli.process import Process


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    models = tmp_path_factory.mktemp("models")
    write_language_model(models, export={"max_input_tokens": 5000})
    write_language_model(models, "toy-chat", seed=1, task="chat", export={"max_input_tokens": 5000})
    with real_on_a_thread(models) as address:
        yield address


@pytest.fixture
def run(bare: Seqserve, real: str, monkeypatch: pytest.MonkeyPatch) -> Seqserve:
    monkeypatch.setenv("SEQSERVE_ADDRESS", real)
    return bare


@pytest.fixture
def client(real: str) -> Iterator[Client]:
    with Client(real) as client:
        yield client


def test_a_text_is_gone_on_with(run: Seqserve, client: Client) -> None:
    ran = run("generate", "the", "cat", "--max-length", "10")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == client.generate("the cat", max_length=10).text + "\n"


def test_the_same_seed_draws_the_same(run: Seqserve) -> None:
    command = ("generate", "the cat", "--temperature", "1.5", "--max-length", "20", "--seed")
    assert run(*command, "1").out == run(*command, "1").out != run(*command, "2").out


def test_all_of_a_pipe_or_a_file_is_one_text(run: Seqserve, client: Client, tmp_path: Path) -> None:
    text = "the cat\nsits\n"
    (tmp_path / "text.txt").write_text(text)
    expected = client.generate(text, max_length=10).text + "\n"
    assert run("generate", "--max-length", "10", stdin=text.encode()).out == expected
    assert run("generate", "--max-length", "10", "--file", str(tmp_path / "text.txt")).out == expected


def test_json_and_several_hypotheses(run: Seqserve) -> None:
    asked = ("generate", "the cat", "--max-length", "5", "--beam", "3", "--hypotheses", "2")
    found = json.loads(run(*asked, "--json").out)
    assert (found["model"], found["num_prompt_tokens"], len(found["hypotheses"])) == ("toy-text/1", 7, 2)
    assert run(*asked).lines[0].split("\t")[1] == found["hypotheses"][0]["text"]


def test_a_terminal_shows_what_is_gone_on_with(real: str, client: Client) -> None:
    ran = Process(real).at_terminal("generate", "the cat", "--max-length", "8")
    assert "the cat" + client.generate("the cat", max_length=8).text in ran.out.replace("\r\n", "\n")


def test_each_line_of_a_pipe_is_a_turn(run: Seqserve, client: Client) -> None:
    ran = run("chat", "--max-length", "6", stdin="\n".join(SENTENCES[:3]).encode())
    with client.session(model="toy-chat") as session:
        expected = []
        for turn in SENTENCES[:3]:
            session.feed(turn)
            expected.append(session.generate(max_length=6).finish().text)
    assert (ran.code, ran.err, ran.lines) == (0, "", expected)
    assert client.sessions() == []


def test_a_text_is_the_first_turn_and_without_a_terminal_the_only_one(real: str, run: Seqserve) -> None:
    first, second = SENTENCES[:2]
    one, both = (
        run("chat", "--max-length", "6", stdin=text.encode()) for text in (first, f"{first}\n{second}")
    )
    assert run("chat", *first.split(), "--max-length", "6", stdin=b"not read").out == one.out
    typed = [("you> ", f"{second}\n"), (f"{both.lines[1]}\r\nyou> ", "\x04")]
    shown = Process(real).at_terminal("chat", first, "--max-length", "6", typed=typed)
    assert shown.code == 0
    assert [line in shown.out for line in both.lines] == [True, True]
    assert shown.out.index(one.lines[0]) < shown.out.index("you> ")


def test_a_chat_that_was_kept_is_gone_on_with(run: Seqserve, client: Client) -> None:
    first, second = SENTENCES[:2]
    kept = run("chat", "--keep", "--max-length", "6", stdin=first.encode())
    found = re.search(
        r"session (\S+): \d+ tokens read, \d+ written; go on within 5 min: seqserve chat --resume (\S+)",
        kept.err,
    )
    assert found is not None
    assert found[1] == found[2]
    again = run("chat", "--resume", found[1], "--max-length", "6", stdin=second.encode())
    whole = run("chat", "--max-length", "6", stdin=f"{first}\n{second}".encode())
    assert kept.lines + again.lines == whole.lines
    client.close_session(found[1])


def test_nothing_to_talk_with_is_told(seqserve: Seqserve) -> None:
    ran = seqserve("chat", stdin=b"hello")
    assert ran.code != 0
    assert "no model of task chat" in ran.err


def test_a_text_is_scored_and_its_tokens_stand_on_colours(run: Seqserve, real: str, client: Client) -> None:
    [score] = client.score([("the ", "cat sits")], model="toy-text")
    asked = ("score", "--model", "toy-text", "--source", "the ", "cat sits")
    found = json.loads(run(*asked, "--json").out)
    assert (found["log_prob"], found["model"]) == (score.log_prob, "toy-text/1")
    assert [token["piece"] for token in found["tokens"]] == list("cat sits")
    assert found["perplexity"] == pytest.approx(math.exp(-score.log_prob / 8))
    [told] = run(*asked).lines
    assert told.startswith(f"log-probability {score.log_prob:.3f}, ")
    process = Process(real)
    assert "48;2;" not in process.at_terminal(*asked).out, "NO_COLOR is set"
    del process.environment["NO_COLOR"]
    shown = process.at_terminal(*asked).out.replace("\r\n", "\n")
    letters = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert letters.startswith("cat sits\nlog-probability")
    assert len(set(re.findall(r"48;2;[0-9;]*m", shown))) > 1, "tokens are not all as likely"


def test_a_file_of_pairs_is_scored_line_by_line(run: Seqserve, client: Client, tmp_path: Path) -> None:
    pairs = [("the ", "cat"), ("", "the dog"), ("a ", "dog")]
    lines = [f"{before}\t{text}" if before else text for before, text in pairs]
    ran = run("score", "--model", "toy-text", stdin="\n".join([*lines, "", ""]).encode())
    scores = client.score(pairs, model="toy-text")
    rows = [line.split("\t") for line in ran.lines]
    assert [(row[0], row[2]) for row in rows[:-1]] == [
        (f"{score.log_prob:.3f}", text) for score, (_, text) in zip(scores, pairs, strict=True)
    ]
    nats = -sum(score.log_prob for score in scores) / 13
    assert rows[-1] == [f"perplexity {math.exp(nats):.2f}: 3 outputs, 13 tokens"]
    refused = run("score", "--model", "toy-text", stdin=b"a\tb\tc\n")
    assert (refused.code, refused.out) == (2, "")
    assert "line 1 has more than two columns" in refused.err


def test_a_language_model_is_measured_in_nats(run: Seqserve, client: Client, tmp_path: Path) -> None:
    text = "\n".join(SENTENCES)
    (tmp_path / "test.txt").write_text(text)
    report = json.loads(run("evaluate", "--model", "toy-text", "--json", str(tmp_path / "test.txt")).out)
    [score] = client.score([("", text)], model="toy-text")
    assert report["metric"] == "nats per token"
    assert report["score"] == pytest.approx(-score.log_prob / len(text), abs=1e-4)
    assert report["more"]["perplexity"] == pytest.approx(math.exp(report["score"]), rel=1e-3)
    windows = ("evaluate", "--model", "toy-text", "--window", "20", str(tmp_path / "test.txt"))
    assert json.loads(run(*windows, "--json").out)["num_examples"] == math.ceil(len(text) / 20)
    assert run(*windows).lines[1].startswith("nats per token ")


def test_replies_are_measured_after_what_was_said(run: Seqserve, client: Client, tmp_path: Path) -> None:
    turns = list(SENTENCES)
    (tmp_path / "test.jsonl").write_text(json.dumps({"turns": turns}) + "\n")
    report = json.loads(run("evaluate", "--model", "toy-chat", "--json", str(tmp_path / "test.jsonl")).out)
    pairs = [(turns[0], turns[1]), ("\n".join(turns[:3]), turns[3])]
    scores = client.score(pairs, model="toy-chat")
    nats = -sum(score.log_prob for score in scores) / sum(len(score.tokens) for score in scores)
    assert report["metric"] == "perplexity of replies"
    assert report["more"]["nats per token"] == pytest.approx(nats, abs=1e-3)
