"""Whole processes: a server as a person starts it, and its clients."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

from service.client import AsyncClient, Client, NotPossible, Token, Unavailable
from tests.service.cli.process import Process
from tests.system.conftest import Running, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NUM_CLIENTS = 64
LENGTH = 500
TRANSLATOR = "toy-es-en"
WORDS = (
    "el",
    "gato",
    "duerme",
    "en",
    "la",
    "casa",
    "dónde",
    "está",
    "biblioteca",
    "jazz",
    "music",
    "radio",
    "garden",
)
SENTENCES = [" ".join(Random(number).choices(WORDS, k=3 + number % 9)) for number in range(NUM_CLIENTS)]


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


def test_64_clients_that_stream_at_once_get_what_each_gets_alone_in_common_batches(
    endless: Path,
) -> None:
    """Every token and its log-probability, bit for bit."""

    def alone(client: Client, sentence: str) -> list[Token]:
        return list(client.translate(sentence, min_length=LENGTH, max_length=LENGTH).tokens)

    async def streamed(own: AsyncClient, sentence: str) -> list[Token]:
        return [token async for token in own.stream_translate(sentence, min_length=LENGTH, max_length=LENGTH)]

    async def all_at_once(running: Running) -> list[list[Token]]:
        """The server stands still while they ask: it hears of all of them in one moment."""
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(AsyncClient(running.address, timeout=500)) for _ in SENTENCES
            ]
            await asyncio.gather(*(client.models() for client in clients))
            running.process.send_signal(signal.SIGSTOP)
            asked = [asyncio.create_task(streamed(*each)) for each in zip(clients, SENTENCES, strict=True)]
            await asyncio.sleep(0.5)
            running.process.send_signal(signal.SIGCONT)
            return await asyncio.gather(*asked)

    with serving(endless) as running:
        with Client(running.address) as client:
            expected = [alone(client, sentence) for sentence in SENTENCES]
        before = batches(running)
        assert asyncio.run(all_at_once(running)) == expected
        after = batches(running)
    assert len({tuple(tokens) for tokens in expected}) == NUM_CLIENTS
    rows, runs = after[0] - before[0], after[1] - before[1]
    assert rows == NUM_CLIENTS * LENGTH
    assert rows / runs > 32  # about 60


def batches(running: Running) -> tuple[float, float]:
    """Rows and batches of the decoder so far."""
    labels = {"model": f"{TRANSLATOR}/1", "graph": "step"}
    rows = running.metric("seqserve_batch_size_sum", **labels)
    return rows, running.metric("seqserve_batch_size_count", **labels)


def test_a_pipe_of_500_lines_comes_out_line_by_line_in_order(running: Running, client: Client) -> None:
    sentences = SENTENCES[:20]
    one_by_one = {sentence: client.translate(sentence, model=TRANSLATOR).text for sentence in sentences}
    lines = [sentences[number % 20] if number % 9 else "" for number in range(500)]
    ran = Process(running.address)("translate", "--model", TRANSLATOR, stdin="\n".join(lines).encode())
    assert ran.code == 0
    assert ran.lines == [one_by_one.get(line, "") for line in lines]


def test_at_a_terminal_the_translation_is_the_greedy_one(running: Running, client: Client) -> None:
    ran = Process(running.address).at_terminal("translate", "--from", "es", "--to", "en", SENTENCES[0])
    assert ran.code == 0
    assert ran.out == client.translate(SENTENCES[0], model=TRANSLATOR, beam_size=1).text + "\n"


def test_a_session_that_is_fed_word_by_word_ends_with_the_label_of_the_whole_text(
    running: Running, client: Client
) -> None:
    text = "play some jazz music on the radio, please!"
    whole = client.classify(text)
    with client.session(model="toy-intents") as session:
        for word in text.split():
            output = session.feed(f"{word} ")
    assert output.labels == whole.labels
    assert output.input_position == whole.num_tokens


def test_a_two_way_translator_says_why_it_cannot_be_fed(client: Client) -> None:
    with pytest.raises(NotPossible, match="both directions"):
        client.session(model=TRANSLATOR)


def test_a_client_that_is_killed_leaves_nothing_behind(endless: Path) -> None:
    with serving(endless) as running, Client(running.address) as client:
        killed = subprocess.Popen(
            [sys.executable, "-c", STREAM_ON, running.address],
            stdout=subprocess.PIPE,
            env=Process().environment,
        )
        assert killed.stdout
        assert killed.stdout.read(1)
        wait_until(lambda: running.metric("seqserve_jobs_active") == 1)  # between two texts there is none
        killed.kill()
        killed.communicate()
        wait_until(lambda: running.metric("seqserve_jobs_active") == 0)
        assert running.metric("seqserve_steps_total", graph="step") < 50_000
        assert client.translate(SENTENCES[0], max_length=5).text


STREAM_ON = """
import sys
from service.client import Client
with Client(sys.argv[1]) as client:
    while True:
        for token in client.stream_translate("el gato", min_length=5000, max_length=5000):
            print("x", end="", flush=True)
"""


def test_sigterm_lets_a_running_stream_end_and_takes_no_new_one(endless: Path) -> None:
    with serving(endless) as running, Client(running.address, max_attempts=1, timeout=100) as client:
        stream = client.stream_translate(SENTENCES[0], min_length=2000, max_length=2000)
        first = next(stream)
        running.process.send_signal(signal.SIGTERM)
        with pytest.raises(Unavailable):
            wait_until(lambda: client.translate("la casa", max_length=1).text is None)
        rest = list(stream)
        assert len(rest) + 1 == 2000
        assert stream.result.tokens == (first, *rest)
        assert running.process.wait(60) == 0


def test_a_terminal_that_is_closed_drains_and_does_not_with_nohup(endless: Path) -> None:
    with nohup(), serving(endless) as stays, Client(stays.address, timeout=100) as client:
        stays.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)  # it would drain by then
        assert client.translate("la casa", max_length=1).tokens
        stays.process.send_signal(signal.SIGTERM)
        assert stays.process.wait(60) == 0
    with serving(endless) as goes, Client(goes.address, max_attempts=1, timeout=100) as client:
        stream = client.stream_translate(SENTENCES[0], min_length=2000, max_length=2000)
        next(stream)
        goes.process.send_signal(signal.SIGHUP)
        assert len(list(stream)) + 1 == 2000
        assert goes.process.wait(60) == 0


@contextmanager
def nohup() -> Iterator[None]:
    """Processes that are begun meanwhile take no notice of a SIGHUP, as those of the command of this name."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_port_in_use_is_told_in_words(running: Running, models: Path) -> None:
    port = running.address.rpartition(":")[2]
    ran = Process()("serve", "--models", str(models), "--port", port)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"seqserve: cannot listen on 127.0.0.1:{port}")
    assert ran.err.count("\n") <= 2


def test_without_models_it_says_where_it_looked(tmp_path: Path) -> None:
    ran = Process()("serve", "--models", str(tmp_path), "--port", "0")
    assert (ran.code, ran.out) == (1, "")
    assert str(tmp_path) in ran.err
    assert "--models" in ran.err


def test_a_broken_bundle_is_left_out_and_the_others_are_served(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "models")
    graph = tmp_path / "models" / TRANSLATOR / "1" / "step.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    with serving(tmp_path / "models") as running, Client(running.address) as client:
        assert [model.name for model in client.models()] == ["toy-intents"]


def test_a_served_model_is_measured_through_the_server(running: Running, tmp_path: Path) -> None:
    test_set = tmp_path / "test.tsv"
    test_set.write_text("the cat\tel gato\nthe house\tla casa\n", encoding="utf-8")
    saved = tmp_path / "answers.txt"
    ran = Process(running.address)(
        "evaluate", "--model", TRANSLATOR, "--columns", "en,es", "--json", "--save", str(saved), str(test_set)
    )
    assert (ran.code, ran.err) == (0, "")
    report = json.loads(ran.out)
    assert (report["metric"], report["num_examples"], report["model"]) == ("BLEU", 2, f"{TRANSLATOR}/1")
    assert "tok:13a" in report["signature"]
    assert len(saved.read_text(encoding="utf-8").splitlines()) == 2


def test_writing_does_not_have_python_look_for_garbage_again_and_again(endless: Path) -> None:
    """Each look at all that lives would hold everybody up, for longer the more models there are."""

    def looks(running: Running, generation: int) -> float:
        return running.metric("python_gc_collections_total", generation=str(generation))

    async def written(address: str) -> int:
        async with AsyncClient(address, timeout=500) as client:
            asked = [client.translate(text, min_length=200, max_length=200) for text in SENTENCES]
            return sum(len(found.tokens) for found in await asyncio.gather(*asked))

    with serving(endless) as running:
        asyncio.run(written(running.address))
        before = [looks(running, generation) for generation in (0, 2)]
        num_tokens = asyncio.run(written(running.address))
        young, all_of_it = (
            looks(running, generation) - was for generation, was in zip((0, 2), before, strict=True)
        )
    assert num_tokens == NUM_CLIENTS * 200
    assert all_of_it == 0
    assert young <= num_tokens / 1000
