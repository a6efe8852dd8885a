"""Messages ⇄ plain values. `…_from_proto` refuses what no value of ours stands for; `…_to_proto` cannot fail."""

from collections.abc import Iterable
from typing import TypedDict

from seqserve.v1 import decoding_pb2, model_pb2, sequence_pb2
from service.bundle.features import ReadingsSpec, SoundSpec
from service.bundle.manifest import Manifest, Task
from service.errors import InvalidInput
from service.registry import Served
from service.tasks.classify import Classification
from service.tasks.decoding import DecodingOptions, Finish
from service.tasks.outputs import Alternative, Hypothesis, Token
from service.tasks.said import HeardToken, LabelScore, PredictedStep, TaggedWord
from service.tasks.score import Pair, TargetScore
from service.tasks.texts import TooLong
from service.tasks.translate import Translation, Written

_TOO_LONG = {
    decoding_pb2.TOO_LONG_UNSPECIFIED: TooLong.REFUSE,
    decoding_pb2.TOO_LONG_REFUSE: TooLong.REFUSE,
    decoding_pb2.TOO_LONG_TRUNCATE: TooLong.TRUNCATE,
}
_TASKS: dict[model_pb2.Task.ValueType, Task | None] = {
    model_pb2.TASK_UNSPECIFIED: None,
    model_pb2.TASK_TRANSLATE: "translate",
    model_pb2.TASK_CLASSIFY: "classify",
    model_pb2.TASK_SUMMARIZE: "summarize",
    model_pb2.TASK_TAG: "tag",
    model_pb2.TASK_GENERATE: "generate",
    model_pb2.TASK_CHAT: "chat",
    model_pb2.TASK_TRANSCRIBE: "transcribe",
    model_pb2.TASK_PREDICT: "predict",
    model_pb2.TASK_CAPTION: "caption",
    model_pb2.TASK_TENSORS: "tensors",
}
_TASKS_TO_PROTO = {task: number for number, task in _TASKS.items()}
_INPUT_KINDS = {"transcribe": "audio", "predict": "features", "caption": "features", "tensors": "tensors"}
"""Of tasks that do not read text."""
_FINISH = {
    Finish.END: decoding_pb2.FINISH_REASON_END,
    Finish.LENGTH: decoding_pb2.FINISH_REASON_LENGTH,
    Finish.STOP: decoding_pb2.FINISH_REASON_STOP,
}


class Selection(TypedDict):
    """What `Registry.find` is asked, the task aside."""

    name: str
    version: str
    source_language: str
    target_language: str


def selection_from_proto(selector: model_pb2.ModelSelector) -> Selection:
    return Selection(
        name=selector.name,
        version=selector.version,
        source_language=selector.source_language,
        target_language=selector.target_language,
    )


def options_from_proto(
    options: decoding_pb2.DecodingOptions, manifest: Manifest, field: str = "options"
) -> DecodingOptions:
    given = {descriptor.name: value for descriptor, value in options.ListFields()}
    return DecodingOptions.of(manifest, field=field, **given)


def too_long_from_proto(number: decoding_pb2.TooLong.ValueType) -> TooLong:
    if number not in _TOO_LONG:
        raise InvalidInput(
            f"too_long has no value {number}; expected TOO_LONG_REFUSE or TOO_LONG_TRUNCATE", field="too_long"
        )
    return _TOO_LONG[number]


def task_from_proto(number: model_pb2.Task.ValueType) -> Task | None:
    if number not in _TASKS:
        raise InvalidInput(
            f"task has no value {number}; expected one of {', '.join(model_pb2.Task.keys()[1:])}",
            field="task",
        )
    return _TASKS[number]


def num_labels_from_proto(number: int) -> int | None:
    if number < 0:
        raise InvalidInput(f"num_labels must be 0 (all) or more, not {number}", field="num_labels")
    return number or None


def model_version_to_proto(served: Served) -> model_pb2.ModelVersion:
    return model_pb2.ModelVersion(name=served.manifest.name, version=served.manifest.version)


def token_to_proto(token: Token) -> decoding_pb2.Token:
    return decoding_pb2.Token(
        id=token.id,
        piece=token.piece,
        log_prob=token.log_prob,
        attention=token.attention,
        alternatives=map(alternative_to_proto, token.alternatives),
    )


def alternative_to_proto(other: Alternative) -> decoding_pb2.Alternative:
    return decoding_pb2.Alternative(id=other.id, piece=other.piece, log_prob=other.log_prob)


def hypothesis_to_proto(hypothesis: Hypothesis) -> decoding_pb2.Hypothesis:
    return decoding_pb2.Hypothesis(
        text=hypothesis.text,
        score=hypothesis.score,
        tokens=map(token_to_proto, hypothesis.tokens),
        finish_reason=_FINISH[hypothesis.finish],
        seed=hypothesis.seed,
    )


def translation_to_proto(translation: Translation) -> sequence_pb2.Translation:
    return sequence_pb2.Translation(
        hypotheses=map(hypothesis_to_proto, translation.hypotheses),
        num_source_tokens=translation.num_source_tokens,
        source_pieces=translation.source_pieces,
    )


def pairs_from_proto(pairs: Iterable[sequence_pb2.ScoredPair]) -> list[Pair]:
    return [Pair(pair.source, pair.target) for pair in pairs]


def target_score_to_proto(score: TargetScore) -> sequence_pb2.TargetScore:
    return sequence_pb2.TargetScore(tokens=map(token_to_proto, score.tokens), log_prob=score.log_prob)


def written_to_proto(
    written: Written, model: model_pb2.ModelVersion | None
) -> sequence_pb2.StreamTranslateResponse:
    return sequence_pb2.StreamTranslateResponse(
        output_position=written.position,
        tokens=map(token_to_proto, written.tokens),
        finish_reason=finish_to_proto(written.hypotheses),
        hypotheses=map(hypothesis_to_proto, written.hypotheses or ()),
        model=model,
    )


def finish_to_proto(hypotheses: tuple[Hypothesis, ...] | None) -> decoding_pb2.FinishReason.ValueType:
    return _FINISH[hypotheses[0].finish] if hypotheses else decoding_pb2.FINISH_REASON_UNSPECIFIED


def word_to_proto(word: TaggedWord) -> decoding_pb2.TaggedWord:
    return decoding_pb2.TaggedWord(**word._asdict())


def heard_to_proto(token: HeardToken) -> decoding_pb2.HeardToken:
    return decoding_pb2.HeardToken(**token._asdict())


def predicted_to_proto(step: PredictedStep) -> decoding_pb2.PredictedStep:
    return decoding_pb2.PredictedStep(
        labels=map(label_to_proto, step.labels), forecast=step.forecast, anomaly_score=step.anomaly_score
    )


def label_to_proto(score: LabelScore) -> decoding_pb2.LabelScore:
    return decoding_pb2.LabelScore(label=score.label, probability=score.probability)


def classification_to_proto(classification: Classification) -> sequence_pb2.Classification:
    return sequence_pb2.Classification(
        labels=map(label_to_proto, classification.labels), num_tokens=classification.num_tokens
    )


def description_to_proto(served: Served) -> model_pb2.ModelDescription:
    bundle, manifest = served.bundle, served.manifest
    spec = bundle.features if manifest.features else None
    return model_pb2.ModelDescription(
        model=model_version_to_proto(served),
        task=_TASKS_TO_PROTO[manifest.task],
        description=manifest.description,
        source_language=manifest.source_language,
        target_language=manifest.target_language,
        precision=manifest.precision,
        num_parameters=manifest.num_parameters,
        size_bytes=bundle.size_bytes,
        streams=manifest.streams,
        why_not_streaming=manifest.why_not_streaming,
        labels=bundle.labels,
        text_labels=bundle.text_labels,
        vocabulary_size=bundle.vocabulary_size,
        max_input_tokens=manifest.limits.max_input_tokens,
        max_output_tokens=manifest.limits.max_output_tokens,
        generation=_defaults_to_proto(manifest),
        simultaneous=manifest.simultaneous,
        measure=manifest.measure,
        inspectable=any(graph.traces for graph in manifest.graphs.values()),
        input_kind=_INPUT_KINDS.get(manifest.task, "text"),
        sample_rate=spec.sample_rate if isinstance(spec, SoundSpec) else 0,
        feature_names=spec.names if isinstance(spec, ReadingsSpec) else (),
    )


def _defaults_to_proto(manifest: Manifest) -> model_pb2.GenerationDefaults:
    """As requests meet them: bounded by the model's limits."""
    defaults = DecodingOptions.of(manifest)
    return model_pb2.GenerationDefaults(
        beam_size=defaults.beam_size,
        length_penalty=defaults.length_penalty,
        max_length=defaults.max_length,
        sampling_topk=defaults.sampling_topk,
        sampling_topp=defaults.sampling_topp,
        temperature=defaults.temperature,
        repetition_penalty=defaults.repetition_penalty,
    )
