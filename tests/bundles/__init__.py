"""Small bundles, made by the real exporter from models with random weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from service.bundle.features import FeatureSpec, ReadingsSpec, SoundSpec
from service.bundle.rules import DELETION
from training.config import TokenizerSection, parse_recipe
from training.data.tokenizers import learn_tokenizer
from training.data.vocabulary import Vocabulary
from training.export.bundle import write_bundle
from training.export.run import Run
from training.models.build import build

SENTENCES = (
    "the cat sits on the mat and the dog runs in the garden",
    "¿Dónde está la biblioteca? El gato duerme en la casa.",
    "play some jazz music on the radio, please!",
    "I don't know what you want from me at 10 o'clock.",
)
"""What the tokenizers of these bundles are learned from."""

LABELS = ("AddToPlaylist", "GetWeather", "PlayMusic")
SLOTS = ("B-genre", "B-time", "I-genre", "I-time", "O")


def write_translator(models: Path, name: str = "toy-es-en", seed: int = 0, **parts: Any) -> Path:
    """A translator in `models`; `parts` go into the recipe's `[model]`, `export` into its own table."""
    return write_bundle(translator_run(name, seed, **parts), models, tell=lambda _: None)


def translator_run(name: str = "toy-es-en", seed: int = 0, **parts: Any) -> Run[Any, Any]:
    """The run that `write_translator` makes a bundle of."""
    model = {"embedding": 32, "encoder": {"hidden": 24, "bidirectional": True}, "decoder": {"hidden": 40}}
    recipe = {"name": name, "task": "translate", "source": "es", "target": "en"}
    return _run(recipe, model, parts, (), seed)


def interpreter_run(name: str = "toy-live", seed: int = 0, **parts: Any) -> Run[Any, Any]:
    """A one-way translator that can write while its source comes in; `parts` as with `write_translator`."""
    decoder = {"hidden": 40, "first_state": "zero"}
    model = {"embedding": 32, "encoder": {"hidden": 24, "layers": 2}, "decoder": decoder}
    recipe = {"name": name, "task": "translate", "source": "es", "target": "en", "simultaneous": {}}
    return _run(recipe, model, parts, (), seed)


def write_interpreter(models: Path, name: str = "toy-live", seed: int = 0, **parts: Any) -> Path:
    """The bundle of `interpreter_run`."""
    return write_bundle(interpreter_run(name, seed, **parts), models, tell=lambda _: None)


def write_sharers(
    models: Path, targets: Sequence[str] = ("de", "fr"), seed: int = 0, prefix: str = "en-"
) -> list[Path]:
    """Translators `en-…` from English with one encoder: the first target's, whose graph the others' bundles name."""
    places, encoder = [], None
    for number, target in enumerate(targets):
        shared: dict[str, str] = {"encoder_of": f"{prefix}{targets[0]}"} if encoder else {}
        recipe = {
            "name": f"{prefix}{target}",
            "task": "translate",
            "source": "en",
            "target": target,
            "shared": shared,
        }
        decoder = {"hidden": 40, "first_state": "zero"}
        model = {"embedding": 32, "tied": "output", "encoder": {"hidden": 24}, "decoder": decoder}
        run = _run(recipe, model, {}, (), seed + number)
        if encoder is None:
            encoder = run.model.encoder.state_dict()
        run.model.encoder.load_state_dict(encoder)
        places.append(write_bundle(run, models, tell=lambda _: None))
    return places


def write_classifier(models: Path, name: str = "toy-intents", seed: int = 0, **parts: Any) -> Path:
    """A classifier in `models`; `parts` as with `write_translator`."""
    model = {"embedding": 32, "pooling": "max", "encoder": {"hidden": 24}}
    recipe = {"name": name, "task": "classify", "source": "en"}
    return write_bundle(_run(recipe, model, parts, LABELS, seed), models, tell=lambda _: None)


def write_language_model(models: Path, name: str = "toy-text", seed: int = 0, **parts: Any) -> Path:
    """A language model of characters; with `task="chat"` one of subwords, for dialogues."""
    return write_bundle(language_model_run(name, seed, **parts), models, tell=lambda _: None)


def language_model_run(name: str = "toy-text", seed: int = 0, **parts: Any) -> Run[Any, Any]:
    """The run that `write_language_model` makes a bundle of."""
    task = parts.pop("task", "generate")
    model = {"embedding": 24, "encoder": {"hidden": 32, "layers": 2}}
    kind = parts.pop("kind", "characters" if task == "generate" else "subwords")
    recipe = {"name": name, "task": task, "source": "en", "tokenizer": {"kind": kind}}
    return _run(recipe, model, parts, (), seed)


def write_tagger(models: Path, name: str = "toy-slots", seed: int = 0, **parts: Any) -> Path:
    """A one-way tagger that labels whole texts, too; `parts` as with `write_translator`."""
    return write_bundle(tagger_run(name, seed, **parts), models, tell=lambda _: None)


def tagger_run(name: str = "toy-slots", seed: int = 0, **parts: Any) -> Run[Any, Any]:
    """The run that `write_tagger` makes a bundle of."""
    model = {"embedding": 32, "encoder": {"hidden": 24}}
    recipe = {"name": name, "task": "tag", "source": "en"}
    return _run(recipe, model, parts, SLOTS, seed, LABELS)


def write_deleter(models: Path, name: str = "toy-shorter", seed: int = 0, **parts: Any) -> Path:
    """A one-way model that leaves words out; `parts` as with `write_translator`."""
    return write_bundle(deleter_run(name, seed, **parts), models, tell=lambda _: None)


def deleter_run(name: str = "toy-shorter", seed: int = 0, **parts: Any) -> Run[Any, Any]:
    """The run that `write_deleter` makes a bundle of."""
    model = {"embedding": 32, "encoder": {"hidden": 24}}
    recipe = {"name": name, "task": "compress", "source": "en"}
    return _run(recipe, model, parts, DELETION, seed)


def write_summarizer(models: Path, name: str = "toy-headlines", seed: int = 0, **parts: Any) -> Path:
    """A model that writes summaries and copies into them; `parts` as with `write_translator`."""
    model = {"embedding": 32, "encoder": {"hidden": 24}, "decoder": {"hidden": 40}}
    recipe = {"name": name, "task": "summarize", "source": "en"}
    return write_bundle(_run(recipe, model, parts, (), seed), models, tell=lambda _: None)


def write_hearer(models: Path, name: str = "toy-digits", seed: int = 0, **parts: Any) -> Path:
    """A one-way model that writes down what is said; `parts` as with `write_translator`."""
    recipe = {"name": name, "task": "transcribe", "target": "en", "tokenizer": {"kind": "characters"}}
    sound = SoundSpec(
        sample_rate=8000,
        frame_length=200,
        frame_step=80,
        mel_bands=12,
        stack=2,
        mean=(-5.0,) * 12,
        scale=(3.0,) * 12,
    )
    run = _run(recipe, {"encoder": {"hidden": 24}}, parts, (), seed, features=sound)
    return write_bundle(run, models, tell=lambda _: None)


def write_predictor(models: Path, name: str = "toy-readings", seed: int = 0, **parts: Any) -> Path:
    """A one-way model of the numbers `names`; with `labels=True` it labels readings, else it forecasts them."""
    names = parts.pop("names", ("level", "slope"))
    labels = ("calm", "wild") if parts.pop("labels", False) else ()
    recipe = {"name": name, "task": "predict"}
    readings = ReadingsSpec(
        names=names,
        mean=(20.0,) * len(names),
        scale=(5.0,) * len(names),
        error_scale=() if labels else (0.3,) * len(names),
    )
    model = {"encoder": {"cell": "gru", "hidden": 24}}
    return write_bundle(
        _run(recipe, model, parts, labels, seed, features=readings), models, tell=lambda _: None
    )


def write_captioner(models: Path, name: str = "toy-shapes", seed: int = 0, **parts: Any) -> Path:
    """A model that describes vectors of three numbers; `parts` as with `write_translator`."""
    recipe = {"name": name, "task": "caption", "target": "en"}
    vector = ReadingsSpec(names=("x", "y", "z"), mean=(0.0,) * 3, scale=(1.0,) * 3)
    model = {"embedding": 32, "size": 24, "decoder": {"hidden": 40, "attention": "none"}}
    return write_bundle(_run(recipe, model, parts, (), seed, features=vector), models, tell=lambda _: None)


def _run(
    recipe: dict[str, Any],
    model: dict[str, Any],
    parts: dict[str, Any],
    labels: tuple[str, ...],
    seed: int,
    text_labels: tuple[str, ...] = (),
    features: FeatureSpec | None = None,
) -> Run[Any, Any]:
    export = {"precision": "int8", "max_input_tokens": 200, "max_length": 30} | parts.pop("export", {})
    data: dict[str, Any] = {"train": ["none"], "dev": ["none"]}
    if recipe["task"] == "predict":
        data["columns"] = list(features.names) if isinstance(features, ReadingsSpec) else []
    checked = parse_recipe(recipe | {"data": data, "model": model | parts, "export": export})
    section = TokenizerSection.model_validate(recipe.get("tokenizer", {}))
    tokenizer = None if recipe["task"] == "predict" else learn_tokenizer(SENTENCES * 3, section)
    vocabulary = Vocabulary(tokenizer, labels, text_labels, features)
    torch.manual_seed(seed)
    net = build(checked, vocabulary)
    for weight in net.parameters():
        weight.data.mul_(2)  # random weights of this size write varied text
    return Run(checked, net.eval(), vocabulary)
