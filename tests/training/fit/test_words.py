"""Small models of words: trained, exported with their loss measured on dev, and right about what they have learned."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.bundle import Bundle
from service.bundle.manifest import FORMAT
from service.config import LimitSettings
from service.tasks.decoding import DecodingOptions
from service.tasks.delete import shorten
from service.tasks.tag import tag
from service.tasks.texts import TooLong, cut_texts
from service.tasks.translate import translate
from tests.fakes.real_served import real_served
from training.export.bundle import export
from training.fit.train import train

CITIES = ["new york", "berlin", "san jose", "oslo"]
THINGS = ["a table", "two seats", "lunch", "music"]
VERBS = ["book", "find", "play"]

COMMON = """
[tokenizer]
vocab_size = 80

[training]
batch_tokens = 60
learning_rate = 2e-2
warmup_steps = 5
decay_start = 0.6
max_epochs = {epochs}
label_smoothing = 0.0
score_examples = 20

[export]
max_loss = 30
max_input_tokens = 40
max_length = 12
"""
RECIPES = {
    "tag": """
name = "toy-tag"
task = "tag"
source = "en"
data = { train = ["tags.jsonl"], hold_out = 5, text_label = "verb" }
model = { embedding = 16, dropout = 0.0, encoder = { hidden = 24 } }
""",
    "chain": """
name = "toy-chain"
task = "tag"
source = "en"
data = { train = ["tags.jsonl"], hold_out = 5, text_label = "verb" }
model = { embedding = 16, dropout = 0.0, chain = true, encoder = { hidden = 16, bidirectional = true } }
""",
    "compress": """
name = "toy-compress"
task = "compress"
source = "en"
data = { train = ["shorter.tsv"], hold_out = 5 }
model = { embedding = 16, dropout = 0.0, encoder = { hidden = 24, bidirectional = true } }
""",
    "summarize": """
name = "toy-summarize"
task = "summarize"
source = "en"
data = { format = "jsonl", train = ["short.jsonl"], hold_out = 5 }
model = { embedding = 24, dropout = 0.0, encoder = { hidden = 24 }, decoder = { hidden = 32 } }
""",
}
EPOCHS = {"tag": 12, "chain": 12, "compress": 6, "summarize": 5}


def sentences() -> Iterator[tuple[str, str, str]]:
    yield from itertools.product(VERBS, THINGS, CITIES)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    tags, shorter, short = [], [], []
    for verb, thing, city in sentences():
        tokens = [verb, *thing.split(), "in", *city.split(), "."]
        named = ["B-city", *["I-city"] * city.count(" ")]
        labels = ["O"] * (len(tokens) - 1 - len(named)) + named + ["O"]
        tags.append(json.dumps({"tokens": tokens, "labels": labels, "verb": verb}))
        shorter.append(f"Please {verb} {thing}, really, in {city}.\t{verb} {thing} in {city}.")
        short.append(json.dumps({"text": f"{verb} {thing} in {city}", "summary": f"{verb} {city}"}))
    for name, lines in (("tags.jsonl", tags), ("shorter.tsv", shorter), ("short.jsonl", short)):
        (folder / name).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return folder


def trained(task: str, data: Path, folder: Path) -> tuple[dict[str, Any], Bundle]:
    """The last line of the log, and the bundle."""
    recipe = folder / f"{task}.toml"
    recipe.write_text(RECIPES[task] + COMMON.format(epochs=EPOCHS[task]), "utf-8")
    assert train(recipe, data, folder / "run")
    log = (folder / "run" / "log.jsonl").read_text("utf-8").splitlines()
    path = export(folder / "run", folder / "models", data=data, tell=lambda _: None)
    return json.loads(log[-1]), Bundle.read(path)


async def test_a_tagger_learns_cities_and_verbs(data: Path, tmp_path: Path) -> None:
    log, bundle = trained("tag", data, tmp_path)
    assert log["f1"] > 90
    assert log["accuracy"] > 90
    assert bundle.labels == ("B-city", "I-city", "O")
    assert bundle.text_labels == tuple(sorted(VERBS))
    assert bundle.manifest.streams
    with real_served(bundle.path) as served:
        texts = await cut_texts(["play music in new york."], bundle, LimitSettings(), TooLong.REFUSE)
        [tagging] = await tag(served, texts)
    assert [(span.label, span.text) for span in tagging.spans] == [("city", "new york")]
    assert tagging.labels[0].label == "play"


async def test_a_tagger_learns_which_label_follows_which(data: Path, tmp_path: Path) -> None:
    log, bundle = trained("chain", data, tmp_path)
    assert log["f1"] > 90
    assert bundle.manifest.format == FORMAT
    chain = bundle.transitions
    assert chain is not None
    begin, inside, outside = range(3)
    assert chain.between[begin, inside] > chain.between[outside, inside]
    assert chain.first[outside] > chain.first[inside]
    with real_served(bundle.path) as served:
        texts = await cut_texts(["play music in new york."], bundle, LimitSettings(), TooLong.REFUSE)
        [tagging] = await tag(served, texts)
    assert [(span.label, span.text) for span in tagging.spans] == [("city", "new york")]
    assert tagging.labels[0].label == "play"


async def test_a_model_learns_which_words_to_leave_out(data: Path, tmp_path: Path) -> None:
    log, bundle = trained("compress", data, tmp_path)
    assert log["f1"] > 95
    assert 0.5 < log["ratio"] < 0.9
    assert bundle.manifest.task == "summarize"
    assert not bundle.manifest.streams
    with real_served(bundle.path) as served:
        text = "Please find music, really, in oslo."
        texts = await cut_texts([text], bundle, LimitSettings(), TooLong.REFUSE)
        [shorter] = await shorten(served, texts)
        [least] = await shorten(served, texts, 0.3)
    assert shorter.text == "find music in oslo."
    assert sum(word.kept for word in least.words) == int(0.3 * len(least.words))


async def test_a_writer_learns_what_to_copy(data: Path, tmp_path: Path) -> None:
    log, bundle = trained("summarize", data, tmp_path)
    assert log["rouge_l"] > 60
    assert [tensor.name for tensor in bundle.manifest.graphs["step"].inputs if tensor.dtype == "int64"] == [
        "token",
        "k",
        "source_lengths",
        "source_tokens",
    ]
    with real_served(bundle.path) as served:
        options = DecodingOptions.of(bundle.manifest, beam_size=1)
        tokens = bundle.tokenizer.encode("find lunch in oslo")
        [summary] = await translate(served, [tokens], options)
    assert summary.hypotheses[0].text == "find oslo"
