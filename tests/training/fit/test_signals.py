"""Models of sound and of readings learn small tasks, and are exported."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from service.bundle import Bundle
from service.bundle.features import ReadingsSpec
from tests.training import signals
from training.config import RecipeError, SeriesData, VoicesSection, load_recipe
from training.data.batches import Batch
from training.data.readers import DataError
from training.data.readers.described import read_described
from training.data.readers.recordings import DigitStrings, read_digits, read_split
from training.data.readers.series import read_series
from training.data.scores import word_error_rate
from training.data.vocabulary import Vocabulary
from training.export.bundle import export
from training.fit.tasks import open_task
from training.fit.tasks.transcribe import Transcription, TranscriptionObjective
from training.fit.train import train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return signals.write_signals(tmp_path_factory.mktemp("signals"))


def last_scores(out: Path) -> dict[str, float]:
    found = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    best: dict[str, float] = min(found, key=lambda entry: float(entry["loss"]))
    return best


def test_strings_of_tones_are_learned_and_exported(data: Path, tmp_path: Path) -> None:
    recipe = signals.write_recipe(
        tmp_path, signals.HEARING, unit="characters", two_way="false", leave_out="", epochs=11
    )
    assert train(recipe, data, tmp_path / "run")
    assert last_scores(tmp_path / "run")["words_right"] > 90
    bundle = Bundle.read(export(tmp_path / "run", tmp_path / "models", data=data, tell=lambda _: None))
    assert (bundle.manifest.task, bundle.manifest.streams) == ("transcribe", True)
    assert bundle.sound.sample_rate == 8000


def test_labels_of_readings_are_learned_both_ways_and_exported(data: Path, tmp_path: Path) -> None:
    for two_way in ("false", "true"):
        folder = tmp_path / two_way
        folder.mkdir()
        recipe = signals.write_recipe(folder, signals.LABELLING, two_way=two_way, split=signals.LATER)
        assert train(recipe, data, folder / "run")
        assert last_scores(folder / "run")["accuracy"] > 95
        bundle = Bundle.read(export(folder / "run", folder / "models", data=data, tell=lambda _: None))
        assert bundle.labels == ("high", "low")
        assert bundle.manifest.tokenizer is None
        assert bundle.manifest.streams == (two_way == "false")
    assert "both directions" in bundle.manifest.why_not_streaming


def test_labels_are_learned_from_changes_and_judged_on_stretches_held_out(data: Path, tmp_path: Path) -> None:
    recipe = signals.write_recipe(tmp_path, signals.LABELLING, two_way="false", split=signals.HELD_OUT)
    assert train(recipe, data, tmp_path / "run")
    assert last_scores(tmp_path / "run")["accuracy"] > 90
    told: list[str] = []
    spec = Bundle.read(export(tmp_path / "run", tmp_path / "models", data=data, tell=told.append)).readings
    assert (spec.scaling, spec.half_lives, spec.mean, spec.dim, spec.reading_dim) == (
        "recent",
        (2, 8),
        (),
        4,
        2,
    )


def test_what_is_held_out_of_a_series_is_not_learned_from(data: Path, tmp_path: Path) -> None:
    recipe = signals.write_recipe(tmp_path, signals.LABELLING, two_way="false", split=signals.HELD_OUT)
    section = load_recipe(recipe).data
    assert isinstance(section, SeriesData)
    [series] = read_series(data, ("series/a.csv",), section)
    assert series.judged(section) == [slice(80, 120), slice(200, 240)]
    assert series.learned(section) == [slice(0, 80), slice(120, 200), slice(240, 300)]


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ('hold_out = 3\nscaling = "recent"', "wants half_lives"),
        ("hold_out = 3\nhalf_lives = [2]", "no other has any"),
        ("hold_out = 1", "leaves nothing to learn from"),
    ],
)
def test_a_split_or_a_scaling_that_cannot_be_is_refused(tmp_path: Path, split: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load_recipe(signals.write_recipe(tmp_path, signals.LABELLING, two_way="false", split=split))


@pytest.mark.parametrize("scaling", ["fixed", "running"])
def test_the_next_reading_is_learned_with_the_size_of_its_errors(
    data: Path, tmp_path: Path, scaling: str
) -> None:
    recipe = signals.write_recipe(tmp_path, signals.FORECASTING, scaling=scaling)
    assert train(recipe, data, tmp_path / "run")
    assert last_scores(tmp_path / "run")["skill"] > 60
    spec = Vocabulary.read(tmp_path / "run").spec
    assert isinstance(spec, ReadingsSpec)
    assert len(spec.error_scale) == 1
    assert (
        0 < spec.error_scale[0] < 0.5
    )  # of the deviation of the series; standing still would err by about that
    bundle = Bundle.read(export(tmp_path / "run", tmp_path / "models", data=data, tell=lambda _: None))
    assert bundle.readings == spec


def test_descriptions_of_vectors_are_learned_and_exported(data: Path, tmp_path: Path) -> None:
    recipe = signals.write_recipe(tmp_path, signals.DESCRIBING)
    assert train(recipe, data, tmp_path / "run")
    assert last_scores(tmp_path / "run")["exact"] > 95
    bundle = Bundle.read(export(tmp_path / "run", tmp_path / "models", data=data, tell=lambda _: None))
    assert (bundle.manifest.task, bundle.manifest.streams, bundle.readings.dim) == ("caption", True, 5)


def test_a_vector_that_is_none_says_where(tmp_path: Path) -> None:
    section = load_recipe(signals.write_recipe(tmp_path, signals.DESCRIBING)).data
    for line, said in (
        ('{"vector": ["x"], "text": "a"}', r"x\.jsonl:1: vector is no list of numbers"),
        ('{"vector": [], "text": "a"}', "no list of numbers"),
        ('{"vector": [1], "text": "a"}\n{"vector": [1, 2], "text": "b"}', "of 1 and of 2 numbers"),
    ):
        (tmp_path / "x.jsonl").write_text(line + "\n")
        with pytest.raises(DataError, match=said):
            read_described(tmp_path, ("x.jsonl",), section)  # type: ignore[arg-type]


def test_padding_bears_on_no_loss(data: Path, tmp_path: Path) -> None:
    for text, parts in (
        (signals.HEARING, {"unit": "words", "two_way": "true", "leave_out": "", "epochs": 1}),
        (signals.LABELLING, {"two_way": "true", "split": signals.LATER}),
        (signals.FORECASTING, {"scaling": "fixed"}),
    ):
        task = open_task(load_recipe(signals.write_recipe(tmp_path, text, **parts)), data)
        objective = task.objective().eval()
        short, long = sorted(task.train, key=lambda example: len(example.source))[:: len(task.train) - 1]
        short = short._replace(source=short.source[:20], target=short.target[:20])
        alone, other, both = (
            float(objective(task.collate(examples)).detach()) for examples in ([short], [long], [short, long])
        )
        assert both == pytest.approx(alone + other, rel=1e-4)
        assert objective.count(task.collate([short, long])) == sum(
            objective.count(task.collate([one])) for one in (short, long)
        )


def test_the_loss_of_a_string_is_that_of_all_its_paths() -> None:
    class Fixed(torch.nn.Module):
        def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            return features

    log_probs = torch.log(torch.tensor([[[0.5, 0, 0, 0, 0.5], [0.25, 0, 0, 0, 0.75]]]) + 1e-30)
    batch = Batch(log_probs, torch.tensor([2]), torch.tensor([[4]]))
    loss = TranscriptionObjective(Fixed())(batch)  # type: ignore[arg-type]
    paths = 0.5 * 0.75 + 0.5 * 0.25 + 0.5 * 0.75  # aa, a-, -a
    assert float(loss) == pytest.approx(-np.log(paths))


def test_no_recording_of_the_test_is_learned_from(data: Path, tmp_path: Path) -> None:
    recipe = load_recipe(
        signals.write_recipe(tmp_path, signals.HEARING, unit="words", two_way="false", leave_out="", epochs=1)
    )
    section = recipe.data
    digits = read_digits(data, ("tones",), 8000)
    splits = {
        split: DigitStrings(digits, section, split, 8000)  # type: ignore[arg-type]
        for split in ("train", "dev", "test")
    }
    indexes = {
        name: {digit.number for one in strings._by_speaker.values() for digit in one}
        for name, strings in splits.items()
    }
    assert indexes == {"train": {4, 5, 6, 7}, "dev": {2, 3}, "test": {0, 1}}


def test_a_speaker_left_out_is_in_the_test_alone(data: Path, tmp_path: Path) -> None:
    recipe = load_recipe(
        signals.write_recipe(
            tmp_path, signals.HEARING, unit="words", two_way="false", leave_out="bob", epochs=1
        )
    )
    digits = read_digits(data, ("tones",), 8000)
    speakers = {
        split: set(DigitStrings(digits, recipe.data, split, 8000)._by_speaker)  # type: ignore[arg-type]
        for split in ("train", "dev", "test")
    }
    assert speakers == {"train": {"ann"}, "dev": {"ann"}, "test": {"bob"}}


def test_strings_differ_from_epoch_to_epoch_and_not_from_run_to_run(data: Path, tmp_path: Path) -> None:
    recipe = load_recipe(
        signals.write_recipe(tmp_path, signals.HEARING, unit="words", two_way="false", leave_out="", epochs=1)
    )
    lengths = []
    for _ in range(2):
        task = open_task(recipe, data)
        assert isinstance(task, Transcription)
        for epoch in (0, 1, 2):
            plan = task.plan(epoch)
            lengths.append((plan, [len(example.source) for example in task.train]))
    assert lengths[:3] == lengths[3:]
    assert lengths[0] != lengths[1] != lengths[2]


@pytest.mark.parametrize("kind", ["digits", "tsv"])
def test_voices_differ_from_epoch_to_epoch_and_not_from_run_to_run(
    data: Path, tmp_path: Path, kind: str
) -> None:
    """Also where the recordings stay the same; what is selected on is heard as it was recorded."""
    file = signals.write_recipe(
        tmp_path, signals.HEARING, unit="words", two_way="false", leave_out="", epochs=1
    )
    plain = load_recipe(file)
    if kind == "tsv":
        signals.write_wav(tmp_path / "clips" / "one.wav", signals.tone(400))
        (tmp_path / "clips" / "list.tsv").write_text("one.wav\tone\n")
        changes = {"format": "tsv", "train": ("clips/list.tsv",), "dev": ("clips/list.tsv",)}
        plain = plain.model_copy(update={"data": plain.data.model_copy(update=changes)})
    root = tmp_path if kind == "tsv" else data
    voices = VoicesSection(speed=1.2, throat=1.2, colour_db=3.0)
    heard, dev = [], []
    changed = plain.model_copy(update={"voices": voices})
    for recipe in (plain, changed, changed):
        task = open_task(recipe, root)
        assert isinstance(task, Transcription)
        for epoch in (0, 1, 2):
            task.plan(epoch)
            heard.append([np.asarray(example.source).tobytes() for example in task.train])
        dev.append([np.asarray(example.source).tobytes() for example in task.dev])
    assert heard[3:6] == heard[6:]
    assert len({tuple(each) for each in heard[3:6]}) == 3
    assert not set(heard[0]) & set(heard[3])
    assert dev[0] == dev[1] == dev[2]


def test_recordings_of_a_list_are_read_with_their_texts(data: Path, tmp_path: Path) -> None:
    signals.write_wav(tmp_path / "clips" / "one.wav", signals.tone(400))
    (tmp_path / "clips" / "list.tsv").write_text("one.wav\tHello  there\n")
    recipe = load_recipe(
        signals.write_recipe(tmp_path, signals.HEARING, unit="words", two_way="false", leave_out="", epochs=1)
    )
    section = recipe.data.model_copy(update={"format": "tsv", "dev": ("clips/list.tsv",)})
    [said] = read_split(tmp_path, "dev", section, 8000)  # type: ignore[arg-type]
    assert (said.text, said.samples.tolist()) == ("Hello  there", signals.tone(400).tolist())
    with pytest.raises(DataError, match="8000 samples a second, the recipe says 16000"):
        read_split(tmp_path, "dev", section, 16_000)  # type: ignore[arg-type]


def test_a_series_with_a_hole_says_where(data: Path, tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "a.csv").write_text("level,slope,state\n1,2,0\n1,,0\n")
    text = signals.write_recipe(tmp_path, signals.LABELLING, two_way="false", split=signals.LATER)
    recipe = load_recipe(text)
    with pytest.raises(DataError, match=r"a\.csv: reading 2: slope is ''; expected a number"):
        open_task(recipe, tmp_path)


def test_words_put_in_left_out_and_replaced_count_as_errors() -> None:
    assert word_error_rate(["a b c"], ["a b c"]) == 0
    assert word_error_rate(["a x c d", ""], ["a b c", "e"]) == pytest.approx(100 * 3 / 4)
