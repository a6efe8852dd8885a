import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.bundle import Bundle
from service.bundle.manifest import FORMAT
from service.errors import BundleRefused
from tests.fakes.toy_bundles import write_toy_classifier, write_toy_translator


def refused(folder: Path) -> str:
    with pytest.raises(BundleRefused) as error:
        Bundle.read(folder)
    return str(error.value)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def translator(tmp_path: Path) -> Path:
    return write_toy_translator(tmp_path)


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    return write_toy_classifier(tmp_path)


def test_a_whole_bundle_is_read(classifier: Path) -> None:
    bundle = Bundle.read(classifier)
    assert bundle.labels == ("ask", "play", "stop")
    assert bundle.size_bytes == sum(file.stat().st_size for file in classifier.iterdir())
    assert bundle.tokenizer.encode("uno") == [4]
    assert bundle.tokenizer is bundle.tokenizer


@pytest.mark.parametrize("name", ["encode.onnx", "tokenizer.json", "manifest.json"])
def test_a_missing_file_is_named(translator: Path, name: str) -> None:
    (translator / name).unlink()
    assert refused(translator) == f"{translator / name}: is missing"


def test_a_changed_file_is_named_with_both_hashes(translator: Path) -> None:
    with (translator / "step.onnx").open("ab") as file:
        file.write(b"x")
    message = refused(translator)
    assert f"{translator / 'step.onnx'}: was changed or damaged" in message


def test_a_file_changed_after_the_check_is_not_read(translator: Path) -> None:
    bundle = Bundle.read(translator)
    (translator / "tokenizer.json").write_text("{}")
    with pytest.raises(BundleRefused, match="changed or damaged"):
        _ = bundle.tokenizer


@pytest.mark.parametrize("where", ["tokenizer.json", "manifest.json"])
def test_a_link_is_refused(translator: Path, where: str) -> None:
    (translator / where).rename(translator.parent / "elsewhere")
    (translator / where).symlink_to(translator.parent / "elsewhere")
    assert "is a link" in refused(translator)


def test_a_folder_that_is_a_link_is_refused(translator: Path) -> None:
    elsewhere = translator.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x").write_text("")
    (translator / "sub").symlink_to(elsewhere)
    edit(translator, lambda m: m["files"].update({"sub/x": "0" * 64}))
    assert "is a link" in refused(translator)


def test_a_folder_is_no_file(translator: Path) -> None:
    (translator / "sub").mkdir()
    edit(translator, lambda m: m["files"].update({"sub": "0" * 64}))
    assert "is not a plain file" in refused(translator)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "a\\..\\x", "", ".", "a//b", "./a", "a\0b"]
)
def test_a_path_that_is_not_inside_the_bundle_is_refused(translator: Path, name: str) -> None:
    edit(translator, lambda m: m["files"].update({name: "0" * 64}))
    assert "is not a path inside the bundle" in refused(translator)


def test_a_newer_format_says_what_to_upgrade_whatever_else_has_changed(translator: Path) -> None:
    edit(translator, lambda m: m.update(format=FORMAT + 1, graphs="are something else now"))
    assert "upgrade seqserve" in refused(translator)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "valid dictionary"),
        ("\xff", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"format": NaN}', "not JSON"),
        (" " * 2**21, "larger"),
    ],
)
def test_a_manifest_that_is_none_is_refused(translator: Path, text: str, reason: str) -> None:
    (translator / "manifest.json").write_bytes(text.encode("latin-1"))
    assert reason in refused(translator)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(description="\ud800"),
        lambda m: m.update(tokenizer="\ud800"),
        lambda m: m["files"].update({"\udfff": "0" * 64}),
        lambda m: m["graphs"].update({"\ud800": m["graphs"]["step"]}),
        lambda m: m["graphs"]["step"].update({"\ud800": 1}),
    ],
)
def test_half_a_character_in_a_manifest_is_refused_in_words_that_can_be_sent(
    translator: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    """`json` reads a lone surrogate, and nothing can write it: no reply, no file's name, no line of a log."""
    edit(translator, change)
    assert "not JSON" in refused(translator).encode("utf-8").decode()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"], ids=lambda encoding: f"written in {encoding}")
def test_a_manifest_in_another_encoding_is_refused(translator: Path, encoding: str) -> None:
    path = translator / "manifest.json"
    path.write_bytes(path.read_text("utf-8").encode(encoding))
    assert "not JSON" in refused(translator)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m.update(colour="red"), "colour"),
        (lambda m: m.pop("streams"), "streams"),
        (lambda m: m["graphs"]["step"].update(pad="x"), "graphs.step.pad"),
        (lambda m: m["graphs"].pop("step"), "needs a graph 'step'"),
        (lambda m: m["files"].pop("step.onnx"), "step.onnx is used but has no hash"),
        (lambda m: m.update(labels="labels.txt"), "labels.txt"),
        (lambda m: m["graphs"]["encode"]["inputs"][0].update(name="words"), "'tokens' is missing"),
        (lambda m: m["graphs"]["step"]["outputs"].pop(0), "is missing"),
    ],
)
def test_a_manifest_that_does_not_fit_names_the_key(
    translator: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    assert reason in refused(edit(translator, change))


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        ({"axes": ["time", "batch"]}, "'batch' comes first"),
        ({"axes": ["batch", "batch"]}, "'batch' comes first"),
        ({"axes": []}, "'batch' comes first"),
        ({"axes": ["batch", 0]}, "cannot be"),
        ({"role": "output"}, "does not belong to inputs"),
        ({"role": "size", "of": "time"}, "a size is one int64"),
        ({"role": "lengths", "of": "time"}, "lengths are int64 with the one axis"),
        ({"axes": ["batch", "time"], "role": "state"}, "gives 'time' a length"),
    ],
)
def test_axes_that_cannot_be_stacked_are_refused(
    translator: Path, tensor: dict[str, Any], reason: str
) -> None:
    edit(translator, lambda m: m["graphs"]["encode"]["inputs"][0].update(tensor))
    assert reason in refused(translator)


def test_an_output_axis_without_a_length_is_refused(translator: Path) -> None:
    edit(translator, lambda m: m["graphs"]["step"]["outputs"][0].update(axes=["batch", "many"]))
    assert "gives 'many' a length" in refused(translator)


def test_lengths_of_an_axis_that_is_not_there_are_refused(translator: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        next(t for t in manifest["graphs"]["encode"]["inputs"] if t["role"] == "lengths")["of"] = "width"

    assert "has the axis 'width'" in refused(edit(translator, change))


def test_a_tensor_that_stands_there_twice_is_refused(translator: Path) -> None:
    edit(translator, lambda m: m["graphs"]["encode"]["inputs"].append(m["graphs"]["encode"]["inputs"][0]))
    assert "stands there twice" in refused(translator)


@pytest.mark.parametrize("pad", [{"time": 0}, {"nowhere": 8}])
def test_padding_of_nothing_or_by_nothing_is_refused(translator: Path, pad: dict[str, int]) -> None:
    edit(translator, lambda m: m["graphs"]["encode"].update(pad=pad))
    assert "multiple of at least 1" in refused(translator)


@pytest.mark.parametrize("labels", ["", "ask\nplay\nplay\n", "ask\n\nstop\n", "ask\nplay\n", "a\nb\nc\nd\n"])
def test_labels_that_do_not_fit_are_refused(classifier: Path, labels: str) -> None:
    import hashlib

    (classifier / "labels.txt").write_text(labels)
    digest = hashlib.sha256(labels.encode()).hexdigest()
    edit(classifier, lambda m: m["files"].update({"labels.txt": digest}))
    assert str(classifier / "labels.txt") in refused(classifier)


def test_a_classifier_without_labels_is_refused(classifier: Path) -> None:
    assert "needs a file of labels" in refused(edit(classifier, lambda m: m.update(labels=None)))
