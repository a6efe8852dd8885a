"""Messages → plain results. The one place that knows how answers are read, for the sync and the async client."""

from collections.abc import Iterable, Sequence
from datetime import UTC

from google.protobuf.descriptor import EnumDescriptor

from seqserve.v1 import decoding_pb2, input_pb2, model_pb2, sequence_pb2, session_pb2
from service.client.outputs import (
    HeardToken,
    KeptWord,
    Output,
    PredictedStep,
    Span,
    Summary,
    TaggedWord,
    Tagging,
    Tensor,
    Trace,
)
from service.client.results import (
    Alternative,
    Classification,
    Generation,
    Hypothesis,
    LabelScore,
    Model,
    ModelVersion,
    Score,
    SessionInfo,
    Ticket,
    Token,
    Translation,
    Translations,
)


def translations(answer: sequence_pb2.TranslateResponse) -> list[Translation]:
    model = model_version(answer.model)
    return [
        Translation(hypotheses(one.hypotheses), model, one.num_source_tokens, tuple(one.source_pieces))
        for one in answer.translations
    ]


def translations_into(answer: sequence_pb2.MultiTranslateResponse, targets: Sequence[str]) -> Translations:
    found = map(translations, answer.responses)
    return Translations(dict(zip(targets, found, strict=True)), answer.num_readings)


def generations(answer: sequence_pb2.GenerateResponse) -> list[Generation]:
    model = model_version(answer.model)
    return [
        Generation(hypotheses(one.hypotheses), model, one.num_prompt_tokens) for one in answer.generations
    ]


def classifications(answer: sequence_pb2.ClassifyResponse) -> list[Classification]:
    model = model_version(answer.model)
    return [Classification(labels(one.labels), model, one.num_tokens) for one in answer.classifications]


def taggings(answer: sequence_pb2.TagResponse) -> list[Tagging]:
    model = model_version(answer.model)
    return [
        Tagging(words(one.words), tuple(map(span, one.spans)), labels(one.labels), model, one.num_tokens)
        for one in answer.taggings
    ]


def span(one: decoding_pb2.Span) -> Span:
    return Span(one.label, one.text, one.start, one.end)


def words(given: Iterable[decoding_pb2.TaggedWord]) -> tuple[TaggedWord, ...]:
    return tuple(TaggedWord(one.word, one.label, one.probability, one.start, one.end) for one in given)


def summaries(answer: sequence_pb2.SummarizeResponse) -> list[Summary]:
    model = model_version(answer.model)
    return [summary(one, model) for one in answer.summaries]


def summary(one: sequence_pb2.Summary, model: ModelVersion) -> Summary:
    kept = tuple(KeptWord(word.word, word.kept, word.probability) for word in one.words)
    return Summary(one.text, model, kept, hypotheses(one.hypotheses), one.num_source_tokens)


def models(answer: model_pb2.ListModelsResponse) -> list[Model]:
    return [model(one) for one in answer.models]


def model(one: model_pb2.ModelDescription) -> Model:
    return Model(
        name=one.model.name,
        version=one.model.version,
        task=_enum_name(model_pb2.Task.DESCRIPTOR, one.task),
        description=one.description,
        source_language=one.source_language,
        target_language=one.target_language,
        precision=one.precision,
        num_parameters=one.num_parameters,
        size_bytes=one.size_bytes,
        streams=one.streams,
        why_not_streaming=one.why_not_streaming,
        labels=tuple(one.labels),
        text_labels=tuple(one.text_labels),
        vocabulary_size=one.vocabulary_size,
        max_input_tokens=one.max_input_tokens,
        max_output_tokens=one.max_output_tokens,
        beam_size=one.generation.beam_size,
        length_penalty=one.generation.length_penalty,
        max_length=one.generation.max_length,
        sampling_topk=one.generation.sampling_topk,
        sampling_topp=one.generation.sampling_topp,
        temperature=one.generation.temperature,
        repetition_penalty=one.generation.repetition_penalty,
        input_kind=one.input_kind or "text",
        sample_rate=one.sample_rate,
        feature_names=tuple(one.feature_names),
        simultaneous=one.simultaneous,
        inspectable=one.inspectable,
        measure=one.measure,
    )


def hypotheses(given: Iterable[decoding_pb2.Hypothesis]) -> tuple[Hypothesis, ...]:
    return tuple(
        Hypothesis(one.text, one.score, tokens(one.tokens), finish_reason(one.finish_reason), one.seed)
        for one in given
    )


def tokens(given: Sequence[decoding_pb2.Token]) -> tuple[Token, ...]:
    return tuple(
        Token(
            one.piece, one.id, one.log_prob, tuple(one.attention), tuple(map(alternative, one.alternatives))
        )
        for one in given
    )


def alternative(one: decoding_pb2.Alternative) -> Alternative:
    return Alternative(one.piece, one.id, one.log_prob)


def scores(answer: sequence_pb2.ScoreResponse) -> list[Score]:
    model = model_version(answer.model)
    return [Score(tokens(one.tokens), one.log_prob, model) for one in answer.scores]


def labels(given: Iterable[decoding_pb2.LabelScore]) -> tuple[LabelScore, ...]:
    return tuple(LabelScore(one.label, one.probability) for one in given)


def output(given: session_pb2.Output) -> Output:
    return Output(
        given.input_position,
        given.output_position,
        labels(given.labels),
        words(given.words),
        tuple(map(heard_token, given.heard)),
        tuple(map(predicted_step, given.steps)),
        tuple(map(tensor, given.tensors)),
        tuple(map(trace, given.traces)),
        tokens(given.tokens),
        hypotheses(given.hypotheses),
    )


def heard_token(one: decoding_pb2.HeardToken) -> HeardToken:
    return HeardToken(one.piece, one.seconds, one.id)


def predicted_step(one: decoding_pb2.PredictedStep) -> PredictedStep:
    return PredictedStep(labels(one.labels), tuple(one.forecast), one.anomaly_score)


def tensor(one: input_pb2.Tensor) -> Tensor:
    return Tensor(one.name, tuple(one.shape), tuple(one.ints) or tuple(one.floats))


def trace(one: session_pb2.Trace) -> Trace:
    width, values = len(one.units), tuple(one.values)
    rows = (values[start : start + width] for start in range(0, len(values), width))
    return Trace(one.name, tuple(one.units), tuple(rows))


def model_version(given: model_pb2.ModelVersion) -> ModelVersion:
    return ModelVersion(given.name, given.version)


def durability(given: session_pb2.Durability) -> str:
    """As it is asked for: `none`, `every step`, `every 8 steps`."""
    if given.mode == session_pb2.DURABILITY_MODE_EVERY_N_STEPS:
        return f"every {given.num_steps} steps"
    return _enum_name(session_pb2.DurabilityMode.DESCRIPTOR, given.mode).replace("_", " ")


def moved_reason(number: int) -> str:
    return _enum_name(session_pb2.MovedReason.DESCRIPTOR, number)


def evicted_reason(number: int) -> str:
    return _enum_name(session_pb2.EvictedReason.DESCRIPTOR, number)


def ticket(given: session_pb2.Snapshotted) -> Ticket:
    return Ticket(given.ticket, given.expires.ToDatetime(UTC))


def sessions(answer: session_pb2.ListSessionsResponse) -> list[SessionInfo]:
    return [session_info(one) for one in answer.sessions]


def session_info(one: session_pb2.SessionDescription) -> SessionInfo:
    return SessionInfo(
        session_id=one.session_id,
        model=model_version(one.model),
        tier=_enum_name(session_pb2.SessionTier.DESCRIPTOR, one.tier),
        input_position=one.input_position,
        output_position=one.output_position,
        num_turns=one.next_turn,
        durable_turn=one.durable_turn,
        durability=durability(one.durability),
        expires=one.expires.ToDatetime(UTC),
        state_bytes=one.state_bytes,
    )


def finish_reason(number: int) -> str:
    return _enum_name(decoding_pb2.FinishReason.DESCRIPTOR, number)


def _enum_name(enum: EnumDescriptor, number: int) -> str:
    """`FINISH_REASON_END` → `end`. A value from a newer server gives its number, an unspecified one nothing."""
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return value.name.removeprefix(prefix).lower() if number else ""
