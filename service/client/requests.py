"""Options → messages. The one place that knows how requests are built, for the sync and the async client."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from google.protobuf.duration_pb2 import Duration

from seqserve.v1 import decoding_pb2, model_pb2, sequence_pb2, session_pb2
from service.client.errors import Details, InvalidRequest
from service.client.options import (
    Choice,
    ClassifyOptions,
    Decoding,
    GenerateOptions,
    ScoreOptions,
    SessionOptions,
    SeveralOptions,
    SummarizeOptions,
    TagOptions,
    TranslateOptions,
)
from service.client.results import Ticket

TASKS = {
    "": model_pb2.TASK_UNSPECIFIED,
    "translate": model_pb2.TASK_TRANSLATE,
    "classify": model_pb2.TASK_CLASSIFY,
    "summarize": model_pb2.TASK_SUMMARIZE,
    "tag": model_pb2.TASK_TAG,
    "generate": model_pb2.TASK_GENERATE,
    "chat": model_pb2.TASK_CHAT,
    "transcribe": model_pb2.TASK_TRANSCRIBE,
    "predict": model_pb2.TASK_PREDICT,
    "caption": model_pb2.TASK_CAPTION,
    "tensors": model_pb2.TASK_TENSORS,
}
DURABILITIES = {
    "none": session_pb2.DURABILITY_MODE_NONE,
    "every step": session_pb2.DURABILITY_MODE_EVERY_STEP,
}
GREEDY = 1
"""The beam of token streams unless another is asked for: with a wider one the first token comes with the last."""


def translate(texts: Sequence[str], options: TranslateOptions) -> sequence_pb2.TranslateRequest:
    with _faults_named():
        return sequence_pb2.TranslateRequest(
            model=selector(options),
            texts=list(each_checked(texts)),
            options=decoding(options),
            too_long=too_long(options.get("truncate", False)),
        )


def score(pairs: Sequence[tuple[str, str]], options: ScoreOptions) -> sequence_pb2.ScoreRequest:
    with _faults_named():
        return sequence_pb2.ScoreRequest(
            model=selector(options),
            pairs=[
                sequence_pb2.ScoredPair(
                    source=checked(source, f"pairs[{index}].source"),
                    target=checked(target, f"pairs[{index}].target"),
                )
                for index, (source, target) in enumerate(pairs)
            ],
            too_long=too_long(options.get("truncate", False)),
        )


def translate_into(
    texts: Sequence[str], targets: Sequence[str], options: SeveralOptions
) -> sequence_pb2.MultiTranslateRequest:
    """`targets` are language codes."""
    with _faults_named():
        source = options.get("source", "")
        return sequence_pb2.MultiTranslateRequest(
            models=[model_pb2.ModelSelector(source_language=source, target_language=to) for to in targets],
            texts=list(each_checked(texts)),
            options=decoding(options),
            too_long=too_long(options.get("truncate", False)),
        )


def stream_translate(text: str, options: TranslateOptions) -> sequence_pb2.StreamTranslateRequest:
    with _faults_named():
        return sequence_pb2.StreamTranslateRequest(
            model=selector(options),
            text=checked(text, "text"),
            options=decoding(options, GREEDY),
            too_long=too_long(options.get("truncate", False)),
        )


def classify(texts: Sequence[str], options: ClassifyOptions) -> sequence_pb2.ClassifyRequest:
    with _faults_named():
        return sequence_pb2.ClassifyRequest(
            model=_named(options.get("model", ""), options.get("version", "")),
            texts=list(each_checked(texts)),
            num_labels=options.get("num_labels", 0),
            too_long=too_long(options.get("truncate", False)),
        )


def tag(texts: Sequence[str], options: TagOptions) -> sequence_pb2.TagRequest:
    return sequence_pb2.TagRequest(
        model=_named(options.get("model", ""), options.get("version", "")),
        texts=list(each_checked(texts)),
        too_long=too_long(options.get("truncate", False)),
    )


def summarize(texts: Sequence[str], options: SummarizeOptions) -> sequence_pb2.SummarizeRequest:
    with _faults_named():
        return sequence_pb2.SummarizeRequest(
            model=_named(options.get("model", ""), options.get("version", "")),
            texts=list(each_checked(texts)),
            options=decoding(options),
            too_long=too_long(options.get("truncate", False)),
            max_ratio=options.get("max_ratio", 0.0),
        )


def stream_summarize(text: str, options: SummarizeOptions) -> sequence_pb2.StreamSummarizeRequest:
    with _faults_named():
        return sequence_pb2.StreamSummarizeRequest(
            model=_named(options.get("model", ""), options.get("version", "")),
            text=checked(text, "text"),
            options=decoding(options, GREEDY),
            too_long=too_long(options.get("truncate", False)),
            max_ratio=options.get("max_ratio", 0.0),
        )


def generate_texts(prompts: Sequence[str], options: GenerateOptions) -> sequence_pb2.GenerateRequest:
    with _faults_named():
        return sequence_pb2.GenerateRequest(
            model=_named(options.get("model", ""), options.get("version", "")),
            prompts=list(each_checked(prompts)),
            options=decoding(options),
            too_long=too_long(options.get("truncate", False)),
        )


def stream_generate(prompt: str, options: GenerateOptions) -> sequence_pb2.StreamGenerateRequest:
    with _faults_named():
        return sequence_pb2.StreamGenerateRequest(
            model=_named(options.get("model", ""), options.get("version", "")),
            prompt=checked(prompt, "prompt"),
            options=decoding(options, GREEDY),
            too_long=too_long(options.get("truncate", False)),
        )


def list_models(task: str) -> model_pb2.ListModelsRequest:
    if task not in TASKS:
        choices = ", ".join(name for name in TASKS if name)
        raise InvalidRequest(f"no task is called {task!r}; there are: {choices}", Details(field="task"))
    return model_pb2.ListModelsRequest(task=TASKS[task])


def describe_model(choice: Choice) -> model_pb2.DescribeModelRequest:
    return model_pb2.DescribeModelRequest(model=selector(choice))


def open_session(options: SessionOptions) -> session_pb2.SessionRequest:
    with _faults_named():
        ttl = _duration(options.get("ttl_s"))
        opening = session_pb2.Open(model=selector(options), ttl=ttl)
    if asked := options.get("durability"):
        opening.durability.CopyFrom(durability(asked))
    if (inspect := options.get("inspect")) is not None:
        with _faults_named():
            units = options.get("inspect_units") or ()
            opening.inspect.CopyFrom(session_pb2.Inspect(tensors=inspect, units=units))
    if (wait := options.get("wait_k")) is not None:
        policy = session_pb2.SimultaneousPolicy(wait_k=_fitting("wait_k", wait))
        opening.simultaneous.CopyFrom(policy)
    return session_pb2.SessionRequest(open=opening)


def durability(text: str) -> session_pb2.Durability:
    """`none`, `every step`, or `every 8 steps`."""
    if text in DURABILITIES:
        return session_pb2.Durability(mode=DURABILITIES[text])
    found = re.fullmatch(r"every (\d{1,9}) steps", text)
    if not found:
        message = f"durability is 'none', 'every step' or such as 'every 8 steps', not {text!r}"
        raise InvalidRequest(message, Details(field="open.durability"))
    return session_pb2.Durability(mode=session_pb2.DURABILITY_MODE_EVERY_N_STEPS, num_steps=int(found[1]))


def resume(which: str | bytes | Ticket) -> session_pb2.SessionRequest:
    """By id, or by a ticket."""
    if isinstance(which, str):
        return session_pb2.SessionRequest(resume=session_pb2.Resume(session_id=which))
    data = which.data if isinstance(which, Ticket) else which
    return session_pb2.SessionRequest(resume=session_pb2.Resume(ticket=data))


def feed(text: str, end_of_input: bool) -> session_pb2.SessionRequest:
    fed = session_pb2.Feed(text=checked(text, "feed.text"), end_of_input=end_of_input)
    return session_pb2.SessionRequest(feed=fed)


def feed_ids(ids: Sequence[int], end_of_input: bool) -> session_pb2.SessionRequest:
    with _faults_named():
        fed = session_pb2.Feed(token_ids=session_pb2.TokenIds(ids=ids), end_of_input=end_of_input)
        return session_pb2.SessionRequest(feed=fed)


def generate(options: Decoding) -> session_pb2.SessionRequest:
    with _faults_named():
        return session_pb2.SessionRequest(generate=session_pb2.Generate(options=decoding(options, GREEDY)))


def rewind(after_turn: int) -> session_pb2.SessionRequest:
    with _faults_named():
        return session_pb2.SessionRequest(rewind=session_pb2.Rewind(after_turn=after_turn))


def fork() -> session_pb2.SessionRequest:
    return session_pb2.SessionRequest(fork=session_pb2.Fork())


def snapshot() -> session_pb2.SessionRequest:
    return session_pb2.SessionRequest(snapshot=session_pb2.Snapshot())


def ticket(ttl_s: float | None) -> session_pb2.SessionRequest:
    with _faults_named():
        asked = session_pb2.Snapshot(as_ticket=True, ticket_ttl=_duration(ttl_s))
        return session_pb2.SessionRequest(snapshot=asked)


def keep_alive() -> session_pb2.SessionRequest:
    return session_pb2.SessionRequest(keep_alive=session_pb2.KeepAlive())


def list_sessions(page_token: str) -> session_pb2.ListSessionsRequest:
    return session_pb2.ListSessionsRequest(page_token=page_token)


def close_session(session_id: str) -> session_pb2.CloseSessionRequest:
    return session_pb2.CloseSessionRequest(session_id=session_id)


def close() -> session_pb2.SessionRequest:
    return session_pb2.SessionRequest(close=session_pb2.Close())


def selector(choice: Choice) -> model_pb2.ModelSelector:
    return model_pb2.ModelSelector(
        name=choice.get("model", ""),
        version=choice.get("version", ""),
        source_language=choice.get("source", ""),
        target_language=choice.get("target", ""),
    )


def _named(name: str, version: str) -> model_pb2.ModelSelector:
    return model_pb2.ModelSelector(name=name, version=version)


def decoding(given: Decoding, beam_size: int | None = None) -> decoding_pb2.DecodingOptions:
    """Options that are left out, or None, stay unset: the server knows the model's own."""
    asked = {name: value for name, value in given.items() if name in _DECODING and value is not None}
    if beam_size is not None and not _DRAWS.intersection(asked):
        asked.setdefault("beam_size", beam_size)
    for name, value in asked.items():
        if isinstance(value, int) and name != "seed":
            _fitting(name, value)
    return decoding_pb2.DecodingOptions(**asked)  # type: ignore[arg-type]


_DECODING = {each.name for each in decoding_pb2.DecodingOptions.DESCRIPTOR.fields}
_DRAWS = {"sampling_topk", "sampling_topp", "temperature", "seed"}
"""Whoever gives one of them leaves it to the server that there is no beam."""


def _fitting(name: str, value: int) -> int:
    """The value; refuses here what the wire cannot carry; every other bound is the server's affair."""
    if not -(2**31) <= value < 2**31:
        raise InvalidRequest(f"options.{name} is far out of range: {value}", Details(field=f"options.{name}"))
    return value


def too_long(truncate: bool) -> decoding_pb2.TooLong.ValueType:
    return decoding_pb2.TOO_LONG_TRUNCATE if truncate else decoding_pb2.TOO_LONG_REFUSE


def checked(text: str, field: str) -> str:
    """Return the text; one with lone surrogates cannot be sent, since it is not Unicode text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = f"{field} is not valid Unicode: a lone surrogate at character {error.start + 1}"
        raise InvalidRequest(message, Details(field=field)) from None
    return text


def each_checked(texts: Iterable[str]) -> Iterator[str]:
    for index, text in enumerate(texts):
        yield checked(text, f"texts[{index}]")


def _duration(seconds: float | None) -> Duration | None:
    return None if seconds is None else Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))


@contextmanager
def _faults_named() -> Iterator[None]:
    """Values that no message can hold, such as a token id of 10¹²; protobuf says which."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"the request cannot be sent: {error}") from None
