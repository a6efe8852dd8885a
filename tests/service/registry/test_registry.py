import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.bundle import Bundle
from service.config import SchedulerSettings
from service.errors import BundleRefused, Draining, InvalidInput, ModelNotFound
from service.metrics import Metrics
from service.registry import Registry, Served, natural_order
from service.scheduler import Scheduler
from tests.fakes.jobs import Adding
from tests.fakes.running_sum import RunningSum
from tests.fakes.toy_bundles import write_toy_classifier, write_toy_translator

Load = Callable[..., Registry]


def serve(bundle: Bundle) -> Served:
    engine = RunningSum()
    return Served(bundle, engine, Scheduler(engine, SchedulerSettings(), Metrics(), bundle.manifest.name))


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    made = []

    def make(factory: Callable[[Bundle], Served] = serve) -> Registry:
        registry = Registry(factory)
        made.append(registry)
        registry.load_all(tmp_path)
        return registry

    yield make
    for registry in made:
        registry.close()


@pytest.fixture
def three(tmp_path: Path, load: Load) -> Registry:
    for version in ("2", "10", "9"):
        write_toy_translator(tmp_path, "es-en", version=version)
    write_toy_translator(tmp_path, "en-es", source_language="en", target_language="es")
    write_toy_classifier(tmp_path, "intents")
    return load()


def names(registry: Registry) -> list[str]:
    return [f"{s.manifest.name}/{s.manifest.version}" for s in registry.all()]


def found(registry: Registry, *args: str, **kwargs: Any) -> str:
    manifest = registry.find(*args, **kwargs).manifest
    return f"{manifest.name}/{manifest.version}"


def test_all_are_listed_by_name_and_the_newest_first(three: Registry) -> None:
    assert names(three) == ["en-es/1", "es-en/10", "es-en/9", "es-en/2", "intents/1"]
    assert not three.refused


def test_a_model_is_found_by_what_the_request_says(three: Registry) -> None:
    assert found(three, "es-en") == "es-en/10"
    assert found(three, "es-en", "9") == "es-en/9"
    assert found(three, task="classify") == "intents/1"
    assert found(three, task="translate", source_language="ES", target_language="en") == "es-en/10"
    assert found(three, "es-en", source_language="es") == "es-en/10"
    assert found(three, target_language="es") == "en-es/1"


@pytest.mark.parametrize(
    ("name", "version", "more", "says"),
    [
        ("nothing", "", {}, ["'nothing'", "en-es, es-en, intents"]),
        ("es-een", "", {}, ["'es-een'", "did you mean es-en?"]),
        ("", "", {"source_language": "Spanish"}, ["Spanish→any", "codes, such as es"]),
        ("es-en", "3", {}, ["'3'", "es-en/10, es-en/9, es-en/2"]),
        (
            "intents",
            "",
            {"task": "translate"},
            ["intents does not serve the task translate", "en-es (translate)"],
        ),
        ("", "", {"task": "translate", "source_language": "fr"}, ["fr→any", "en→es, es→en"]),
        ("", "", {"source_language": "es", "target_language": "de"}, ["es→de", "en→es, es→en"]),
        ("es-en", "", {"source_language": "en"}, ["es-en does not translate en→any", "es→en"]),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(
    three: Registry, name: str, version: str, more: Any, says: list[str]
) -> None:
    with pytest.raises(ModelNotFound) as error:
        three.find(name, version, **more)
    for words in says:
        assert words in str(error.value)
    assert error.value.name


@pytest.mark.parametrize(
    ("name", "more", "says_not"),
    [("nothing", {}, "did you mean"), ("", {"source_language": "fr"}, "codes")],
)
def test_what_nobody_can_have_meant_is_not_guessed(
    three: Registry, name: str, more: Any, says_not: str
) -> None:
    with pytest.raises(ModelNotFound) as error:
        three.find(name, "", **more)
    assert says_not not in str(error.value)


def test_an_open_choice_lists_the_names(three: Registry) -> None:
    with pytest.raises(InvalidInput, match="en-es, es-en") as error:
        three.find(task="translate")
    assert error.value.field == "model.name"


def test_who_asks_by_languages_gets_a_simultaneous_model_only_where_that_is_wanted(
    tmp_path: Path, load: Load
) -> None:
    def serve_one(bundle: Bundle) -> Served:
        follows = bundle.manifest.name == "live"
        return serve(replace(bundle, manifest=bundle.manifest.model_copy(update={"simultaneous": follows})))

    write_toy_translator(tmp_path, "live")
    write_toy_translator(tmp_path, "whole")
    registry = load(serve_one)
    pair = {"source_language": "es", "target_language": "en"}
    assert found(registry, **pair) == "whole/1"
    assert found(registry, **pair, simultaneous=True) == "live/1"
    assert found(registry, "live") == "live/1"


def test_an_empty_registry_says_so(load: Load) -> None:
    with pytest.raises(ModelNotFound, match="none"):
        load().find("x")


def test_a_refused_bundle_does_not_stop_the_others(tmp_path: Path, load: Load) -> None:
    write_toy_translator(tmp_path, "good")
    (write_toy_translator(tmp_path, "damaged") / "step.onnx").write_bytes(b"x")
    shutil.move(write_toy_translator(tmp_path, "moved"), tmp_path / "moved" / "7")
    (tmp_path / "empty" / "1").mkdir(parents=True)
    (tmp_path / ".hidden" / "1").mkdir(parents=True)
    (tmp_path / "README.md").write_text("not a model")
    registry = load()
    assert names(registry) == ["good/1"]
    assert set(registry.refused) == {"damaged/1", "moved/7", "empty/1"}
    assert "step.onnx" in registry.refused["damaged/1"]
    assert "moved/1" in registry.refused["moved/7"]
    assert "manifest.json: is missing" in registry.refused["empty/1"]


@pytest.mark.parametrize("error", [BundleRefused("the graph is odd"), RuntimeError("a bug")])
def test_a_model_that_cannot_be_built_does_not_stop_the_others(
    tmp_path: Path, load: Load, error: Exception
) -> None:
    def picky(bundle: Bundle) -> Served:
        if bundle.manifest.name == "bad":
            raise error
        return serve(bundle)

    write_toy_translator(tmp_path, "bad")
    write_toy_translator(tmp_path, "good")
    registry = load(picky)
    assert names(registry) == ["good/1"]
    assert str(error) in registry.refused["bad/1"]


def test_versions_are_in_natural_order() -> None:
    versions = ["1.10", "1.9", "1", "2", "10", "1.9b", "v3"]
    assert sorted(versions, key=natural_order) == ["v3", "1", "1.9", "1.9b", "1.10", "2", "10"]


def test_a_drain_reaches_all_models_at_once(three: Registry) -> None:
    busy, idle = three.find("es-en"), three.find("intents")
    assert isinstance(busy.engine, RunningSum)
    busy.engine.pause()
    job = Adding([1], [1])
    busy.scheduler.submit(job)
    busy.engine.wait_for_batch()
    busy.engine.resume()
    assert three.drain(10)
    assert job.ends == 1
    for served in (busy, idle):
        with pytest.raises(Draining):
            served.scheduler.submit(Adding([1], []))


def test_a_closed_registry_serves_nothing(three: Registry) -> None:
    three.close()
    assert three.all() == []
