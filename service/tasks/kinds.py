"""Which kind of model each task is."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from service.bundle.manifest import Manifest
from service.config import LimitSettings
from service.errors import NotPossible
from service.registry import Served
from service.tasks.caption import Captioner
from service.tasks.chat import Chatter
from service.tasks.classify import Classifier
from service.tasks.generate import Generator
from service.tasks.kind import Kind
from service.tasks.predict import Predictor
from service.tasks.simultaneous import Interpreter, Policy
from service.tasks.stepping import Stepper
from service.tasks.summarize import summarizer
from service.tasks.tag import Tagger
from service.tasks.transcribe import Transcriber
from service.tasks.translate import Translator

KINDS: dict[str, Callable[[Served, LimitSettings], Kind]] = {
    "translate": Translator,
    "classify": Classifier,
    "tag": Tagger,
    "summarize": summarizer,
    "generate": Generator,
    "chat": Chatter,
    "transcribe": Transcriber,
    "predict": Predictor,
    "caption": Captioner,
    "tensors": Stepper,
}

NO_MANNER: Mapping[str, Any] = MappingProxyType({})

INSTEAD: dict[str, str] = {
    "translate": "Translate or StreamTranslate with whole texts",
    "classify": "Classify with whole texts",
    "tag": "Tag with whole texts",
    "summarize": "Summarize with whole texts",
    "generate": "Generate or StreamGenerate with whole prompts",
    "chat": "Generate or StreamGenerate with whole prompts",
    "transcribe": "Transcribe with whole recordings",
    "predict": "Predict with whole series",
    "caption": "Caption with whole vectors",
    "tensors": "the Open Inference Protocol without sequence_id",
}
"""What a model that cannot be fed in a session is for."""


def kind_of(served: Served, limits: LimitSettings, manner: Mapping[str, Any] = NO_MANNER) -> Kind:
    """The kind of a served model, in a session of this manner."""
    if policy := manner.get("simultaneous"):
        return Interpreter(served, limits, Policy.from_json(policy))
    return KINDS[served.manifest.task](served, limits)


def check_streams(manifest: Manifest) -> None:
    """Raise NotPossible where a model cannot take its input piece by piece."""
    if not manifest.streams:
        because = manifest.why_not_streaming or "it has to see the whole input at once"
        raise NotPossible(
            f"{manifest.name} cannot be fed in a session: {because}. Use {INSTEAD[manifest.task]}"
        )
