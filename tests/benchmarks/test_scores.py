"""The table of scores, made over toy models of the recipes' names."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sacrebleu.metrics.bleu import BLEU

from benchmarks.scores.__main__ import main
from benchmarks.scores.bench import Bench
from benchmarks.scores.board import Line, kept, quoted
from benchmarks.scores.evaluation import Evaluation, evaluations_of, known
from benchmarks.scores.found import Found
from benchmarks.scores.page import page_of
from benchmarks.scores.protocols import PROTOCOLS, dialogues, readings, summaries, translations
from benchmarks.scores.variants import write_variants
from service.cli.measures import Report
from service.client import Client
from tests.bundles import (
    SENTENCES,
    write_classifier,
    write_deleter,
    write_predictor,
    write_translator,
)
from tests.fakes.real_thread import real_on_a_thread
from tests.training.signals import tone, write_wav
from training.config import RecordedData, load_recipe
from training.evaluate import read_test_recordings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TEXTS = ("the cat sits on the mat", "play some jazz music", "the cat sleeps", "I don't know")
SIDES = ("El gato duerme.", "La casa.", "El gato duerme.", "¿Dónde está?")
RECIPES = [path.stem for path in Path("training/recipes").resolve().glob("*.toml")]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_translator(folder, "tatoeba-es-en")
    write_classifier(folder, "sst2")
    write_classifier(folder, "sst2-seed-3", seed=1)
    write_deleter(folder, "sentence-compression")
    write_predictor(folder, "nab", names=("value",))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    pairs = [f"{text}\t{side}" for text, side in zip(TEXTS, SIDES, strict=True)]
    write(folder / "tatoeba-es-en/test.tsv", pairs)
    write(folder / "multi30k/test_2016_flickr.en", TEXTS)
    write(folder / "multi30k/test_2016_flickr.es", SIDES)
    write(folder / "sst2/test.tsv", [f"{label}\t{text}" for label, text in zip("abab", TEXTS, strict=True)])
    write(folder / "sentence-compression/test.tsv", [f"{text}\t{text[:9]}" for text in SENTENCES])
    published = {"input.txt": SENTENCES, "gold.txt": [text[:9] for text in SENTENCES]}
    published |= {"ours_0.comp": SENTENCES, "ours_1.comp": published["gold.txt"]}
    for name, lines in published.items():
        write(folder / "sentence-compression/published-outputs" / name, lines)
    rows = [{"text": f"{text} {number}", "headline": "the cat"} for number in range(40) for text in TEXTS]
    for split in ("train", "test"):
        write(folder / f"headlines/{split}.jsonl", [json.dumps(row) for row in rows[:60]])
    turns = {"turns": [*SENTENCES, "ok"]}
    write(folder / "task-dialogues/test.jsonl", [json.dumps(turns), json.dumps(turns)])
    head = "no,date,Temperature,Humidity,CO2,HumidityRatio,Occupancy".partition(",")[2]
    minutes = [f"{n},today,{n},{n},{n},{n},{'wild' if n % 5 else 'calm'}" for n in range(30)]
    write(folder / "occupancy/datatest.txt", [head, *minutes])
    times = [f"2014-01-01 00:{n // 60:02}:{n % 60:02}" for n in range(200)]
    write(folder / "nab/data/a/b.csv", ["timestamp,value", *(f"{t},{n}" for n, t in enumerate(times))])
    windows = {"a/b.csv": [[f"{times[100]}.000000", f"{times[120]}.000000"]]}
    write(folder / "nab/labels/combined_windows.json", [json.dumps(windows)])
    (folder / "fsdd/recordings").mkdir(parents=True)
    for name in ("0_theo_0", "0_theo_1", "1_lucas_0"):
        write_wav(folder / f"fsdd/recordings/{name}.wav", tone(400, seconds=0.1))
    return folder


def write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


@pytest.fixture(scope="module")
def bench(models: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    recipes = write_variants(tmp_path_factory.mktemp("variants"), "fsdd-digits")
    with real_on_a_thread(models) as address, Client(address, timeout=100) as client:
        yield Bench(client, data, recipes)


def found(bench: Bench, model: str, protocol: str, file: str, **rest: object) -> list[Found]:
    wanted = Evaluation.model_validate({"data": "toy", "file": file, "protocol": protocol, **rest})
    return PROTOCOLS[protocol](bench, model, wanted)


# What is measured


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_has_evaluations_by_protocols_that_there_are(recipe: str) -> None:
    evaluations = evaluations_of(recipe)
    assert {one.protocol for one in evaluations.evaluation} <= set(PROTOCOLS)
    wanted = {name for one in evaluations.evaluation for name in one.models} - {recipe}
    assert wanted == set(evaluations.variants)


def test_no_evaluations_are_of_a_recipe_that_is_not_there() -> None:
    assert set(known()) == set(RECIPES)


def test_nothing_is_measured_on_what_the_recipe_was_trained_or_chosen_on() -> None:
    for name in known():
        data = load_recipe(Path(f"training/recipes/{name}.toml").resolve()).data
        if name not in {"nab", "shapes"}:  # one has no labels in training; the other is a demonstration
            parts = {"fsdd-digits", "tinyshakespeare", "quijote", "quijote-words"}  # of one file, or folder
            files = {one.file for one in evaluations_of(name).evaluation} if name not in parts else set()
            assert not files & {*data.train, *data.dev}, name


def test_a_variant_is_its_recipe_but_for_what_it_names(tmp_path: Path) -> None:
    plain = load_recipe(Path("training/recipes/fsdd-digits.toml").resolve())
    written = write_variants(tmp_path, "fsdd-digits")
    assert len(written) == 6
    changed = load_recipe(written["fsdd-digits-without-theo"])
    assert isinstance(plain.data, RecordedData)
    data = plain.data.model_copy(update={"leave_out": "theo"})
    assert changed == plain.model_copy(update={"name": "fsdd-digits-without-theo", "data": data})


@pytest.mark.parametrize("recipe", RECIPES)
def test_variants_are_recipes(recipe: str, tmp_path: Path) -> None:
    for name, path in write_variants(tmp_path, recipe).items():
        assert load_recipe(path).name == name


# How it is scored


def test_all_targets_of_a_source_are_references(bench: Bench) -> None:
    file = "tatoeba-es-en/test.tsv"
    [plain] = found(bench, "tatoeba-es-en", "evaluate", file, beam=1)
    [every] = found(bench, "tatoeba-es-en", "every target", file, beam=1)
    assert "nrefs:1|" in plain.signature
    assert "nrefs:var|" in every.signature
    assert every.num_examples == plain.num_examples == 4
    assert every.signature.endswith("|beam:1")


@pytest.mark.parametrize("protocol", ["moses", "spacy"])
def test_translations_are_lowercased_and_cut_before_they_are_counted(bench: Bench, protocol: str) -> None:
    file = "multi30k/test_2016_flickr.{language}"
    [score] = found(bench, "tatoeba-es-en", protocol, file, beam=2)
    assert "case:lower" in score.signature
    assert f"tok:{protocol}-" in score.signature
    assert "smooth:none" in score.signature
    assert score.num_examples == 4


def test_tokens_are_those_of_moses_and_of_spacy() -> None:
    from benchmarks.scores.protocols.translations import _moses, _spacy

    assert _moses("de")("Ein Mann, der „hallo“ sagt.") == [
        "Ein",
        "Mann",
        ",",
        "der",
        '"',
        "hallo",
        '"',
        "sagt",
        ".",
    ]
    assert _spacy("en")("a man's hat isn't red.") == ["a", "man", "'s", "hat", "is", "n't", "red", "."]


def test_a_perfect_translation_has_100_by_tokens(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = SimpleNamespace(answers=["THE CAT SITS ON THE MAT , here"])
    monkeypatch.setattr(bench, "measured", lambda *_: answered)
    plain = Found("BLEU", 0, "", 1, "texts", "x|beam:1")
    monkeypatch.setattr(translations, "as_evaluated", lambda *_: [plain])
    metric, wanted = BLEU(tokenize="none"), Evaluation(data="", file="")
    score = translations._scored(bench, "m", wanted, metric, [["the cat sits on the mat , here"]], str.lower)
    assert score.score == pytest.approx(100)


def test_a_translator_that_interprets_has_a_line_for_each_k(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reports(_: object, __: object, ___: object, waits: Sequence[int]) -> list[Report]:
        shared: dict[str, Any] = {"file": "f", "num_examples": 4, "examples": "texts", "metric": "BLEU"}
        shared |= {"unit": "", "signature": "s", "beam_size": None, "seconds": 1.0}
        shared |= {"examples_per_s": 1.0, "tokens_per_s": 1.0, "more": {"LAAL": 1.5, "ms per word": 2.0}}
        return [Report(model="m", score=float(wait), wait_k=wait, **shared) for wait in waits]

    monkeypatch.setattr(translations, "measure_waits", reports)
    lines = found(bench, "tatoeba-es-en", "waits", "tatoeba-es-en/test.tsv", waits=[1, 100])
    assert [line.case for line in lines] == ["k = 1", "the whole source"]
    assert [line.more for line in lines] == [{"LAAL": 1.5}] * 2, "times are no scores"


def test_compressions_of_others_are_scored_in_the_same_way(bench: Bench) -> None:
    folder = "sentence-compression/published-outputs"
    [score] = found(
        bench, "sentence-compression", "compressions", "sentence-compression/test.tsv", outputs=folder
    )
    whole = score.beside["all words"]
    assert score.beside["published outputs: ours, mean of 2 runs"] == pytest.approx((whole + 100) / 2)
    assert score.beside["the first 14 words"] >= whole


def test_headlines_stand_beside_the_first_words_as_many_as_are_best_on_dev(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Found("ROUGE-L", 1.0, "%", 60, "texts", "F1")
    monkeypatch.setattr(summaries, "as_evaluated", lambda *_: [measured])
    [score] = found(bench, "headlines", "headlines", "headlines/test.jsonl")
    names = list(score.beside)
    assert names == [f"the first 2 words (chosen on dev): ROUGE-{kind}" for kind in ("L", "1", "2")]
    assert score.metric == "ROUGE-L"


def test_labels_of_readings_have_an_f1_and_the_share_of_the_frequent_one_beside(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = ("Temperature", "Humidity", "CO2", "HumidityRatio")
    answers = ["wild"] * 12 + ["calm"] * 18
    fake: Any = SimpleNamespace(model=lambda _: SimpleNamespace(feature_names=room))
    bench = Bench(fake, data)
    monkeypatch.setattr(bench, "measured", lambda *_: SimpleNamespace(answers=answers))
    measured = Found("accuracy", 50.0, "%", 30, "readings", "labels:all")
    monkeypatch.setattr(readings, "as_evaluated", lambda *_: [measured])
    [score] = found(bench, "occupancy", "labels of readings", "occupancy/datatest.txt", positive="wild")
    assert score.num_examples == 30
    assert score.beside["always the more frequent label"] == pytest.approx(80)
    assert score.more["F1 of 'wild'"] == pytest.approx(100 * 2 * 9 / (12 + 24))


def test_series_with_anomalies_are_scored_by_the_benchmark_for_each_profile(bench: Bench) -> None:
    [score] = found(bench, "nab", "nab", "nab")
    assert set(score.more) == {"low FP", "low FN"}
    assert 0 <= score.score <= 100


def test_replies_are_foretold_and_written(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts: list[str] = []

    def generate_many(asked: Sequence[str], **options: object) -> list[SimpleNamespace]:
        assert options == {"model": "task-dialogues", "sampling_topk": 1}
        prompts.extend(asked)
        return [SimpleNamespace(text="yes yes")] * len(asked)

    fake: Any = SimpleNamespace(generate_many=generate_many)
    measured = Found("perplexity of replies", 5.0, "", 2, "dialogues", "replies:all")
    monkeypatch.setattr(dialogues, "as_evaluated", lambda *_: [measured])
    bench = Bench(fake, data)
    [score] = found(bench, "task-dialogues", "replies", "task-dialogues/test.jsonl")
    assert score.metric == "perplexity of replies"
    assert "written:4 greedy replies of 2 dialogues" in score.signature
    assert score.more["distinct-1, %"] == pytest.approx(100 / 8)
    assert prompts[:2] == [SENTENCES[0], "\n".join(SENTENCES[:3])]


def test_distinct_n_grams_are_counted_over_all_texts() -> None:
    assert dialogues.distinct(["a b a b", "a b"], 1) == pytest.approx(100 * 2 / 6)
    assert dialogues.distinct(["a b a b", "a b"], 2) == pytest.approx(100 * 2 / 4)


def test_a_left_out_speaker_is_the_only_one_of_the_variants_test(bench: Bench) -> None:
    wanted = Evaluation(data="toy", file="fsdd/recordings", limit=3)
    asked = bench.asked("fsdd-digits-without-theo", wanted)
    said = read_test_recordings(asked.file, asked.recipe_of("fsdd-digits-without-theo"), 8000)
    assert {word for one in said for word in one.text.split()} == {"zero"}, "lucas says one"


# The table


def measure(data: Path, models: Path, page: Path, *recipes: str) -> list[dict[str, object]]:
    main(data, list(recipes), models, None, page)
    lines: list[dict[str, object]] = json.loads(page.with_suffix(".json").read_text("utf-8"))
    return lines


def test_the_command_writes_the_page_and_says_what_it_could_not_measure(
    data: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "scores.md"
    lines = measure(data, models, page, "tatoeba-es-en", "sst2", "quijote")
    assert "[4/6] sst2" in capsys.readouterr().err
    carried, begun, seeds, beam, greedy, news = lines
    assert beam["metric"] == greedy["metric"] == "BLEU"
    assert str(news["missing"]).startswith("no data")
    assert len(seeds["bundles"]) == len(seeds["scores"]) == 2  # type: ignore[arg-type]
    for line in (carried, begun):
        assert "seqserve train training/recipes/quijote.toml" in str(line["missing"])
    text = page.read_text("utf-8")
    assert f"**{beam['score']:.2f}**" in text
    assert "59.6 OPUS-MT es-en" in text
    again = measure(data, models, page, "sst2")
    assert again == lines, "the same scores, and the others as they were"


def test_a_float32_score_stays_as_long_as_the_bundle_is_the_same() -> None:
    before = Line("r", "translate", "d", score=1.0, fp32=1.5, bundles={"r/1": "abc"})
    same, other = (
        Line("r", "translate", "d", score=1.0, bundles={"r/1": digest}) for digest in ("abc", "xyz")
    )
    assert kept([before], [same])[0].fp32 == 1.5
    assert kept([before], [other])[0].fp32 is None


def test_lines_stay_until_they_are_measured_again_or_are_none_of_the_recipe_any_more() -> None:
    old = [Line(recipe, "translate", data) for recipe, data in (("a", "x"), ("a", "y"), ("b", "x"))]
    new = Line("a", "translate", "x", score=1.0)
    assert kept(old, [new]) == [*old[1:], new]
    assert kept(old, [new], done=["a"]) == [old[2], new]


def test_a_score_stays_where_its_model_is_not() -> None:
    scores = [Line("a", "translate", "x", case, score=1.0) for case in ("k = 1", "k = 3")]
    absent = Line("a", "translate", "x", missing="recipe only")
    assert kept(scores, [absent]) == kept(scores, [absent], done=["a"]) == scores
    other = Line("a", "translate", "y", missing="recipe only")
    assert kept(scores, [absent, other], done=["a"]) == [*scores, other]
    again = Line("a", "translate", "x", "k = 3", score=2.0)
    assert kept(scores, [again], done=["a"]) == [again], "a case that is none any more goes"
    assert kept([absent], [again], done=["a"]) == [again]


def test_what_is_published_is_quoted_as_the_evaluations_say_now() -> None:
    old = Line("trec", "classify", "TREC test, mean of seeds", score=1.0, published=[{"score": 12.0}])
    assert [one["score"] for one in quoted(old).published] == [91.2]
    assert quoted(old).score == 1.0
    gone = Line("r", "classify", "d", published=[{"score": 12.0}])
    assert quoted(gone) == gone


def test_what_is_told_between_bars_does_not_break_the_table() -> None:
    line = Line("r", "translate", "d", score=1.0, more={"a|b": 2.0}, metric="BLEU", bundles={"r/1": "abc"})
    row = next(text for text in page_of([line]).splitlines() if text.startswith("| `r`"))
    assert row.replace("\\|", "").count("|") == 8


def test_a_twin_is_made_of_the_bundles_own_weights_only(tmp_path: Path) -> None:
    from benchmarks.scores.twins import _is_of
    from service.bundle import Bundle
    from tests.bundles import translator_run

    bundle = Bundle.read(write_translator(tmp_path, seed=3))
    assert _is_of(translator_run(seed=3), bundle)
    assert not _is_of(translator_run(seed=4), bundle)
