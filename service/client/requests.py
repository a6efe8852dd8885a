"""Options → messages. The one place that knows how requests are built, for the sync and the async client."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from google.protobuf.duration_pb2 import Duration

from seqserve.v1 import decoding_pb2, model_pb2, sequence_pb2, session_pb2
from service.client.errors import Details, InvalidRequest
from service.client.options import Choice, ClassifyOptions, Decoding, SessionOptions, TranslateOptions

TASKS = {
    "": model_pb2.TASK_UNSPECIFIED,
    "translate": model_pb2.TASK_TRANSLATE,
    "classify": model_pb2.TASK_CLASSIFY,
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
            model=model_pb2.ModelSelector(name=options.get("model", ""), version=options.get("version", "")),
            texts=list(each_checked(texts)),
            num_labels=options.get("num_labels", 0),
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
    ttl_s = options.get("ttl_s")
    with _faults_named():
        ttl = None if ttl_s is None else Duration(seconds=int(ttl_s), nanos=int(ttl_s % 1 * 1e9))
        return session_pb2.SessionRequest(open=session_pb2.Open(model=selector(options), ttl=ttl))


def resume(session_id: str) -> session_pb2.SessionRequest:
    return session_pb2.SessionRequest(resume=session_pb2.Resume(session_id=session_id))


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


def close() -> session_pb2.SessionRequest:
    return session_pb2.SessionRequest(close=session_pb2.Close())


def selector(choice: Choice) -> model_pb2.ModelSelector:
    return model_pb2.ModelSelector(
        name=choice.get("model", ""),
        version=choice.get("version", ""),
        source_language=choice.get("source", ""),
        target_language=choice.get("target", ""),
    )


def decoding(given: Decoding, beam_size: int | None = None) -> decoding_pb2.DecodingOptions:
    """Options that are left out, or None, stay unset: the server knows the model's own."""
    asked = given.get("beam_size")
    return decoding_pb2.DecodingOptions(
        beam_size=_fitting("beam_size", beam_size if asked is None else asked),
        num_hypotheses=_fitting("num_hypotheses", given.get("num_hypotheses")),
        length_penalty=given.get("length_penalty"),
        max_length=_fitting("max_length", given.get("max_length")),
        min_length=_fitting("min_length", given.get("min_length")),
    )


def _fitting(name: str, value: int | None) -> int | None:
    """Refuse here what the wire cannot carry; every other bound is the server's affair."""
    if value is not None and not -(2**31) <= value < 2**31:
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


@contextmanager
def _faults_named() -> Iterator[None]:
    """Values that no message can hold, such as a token id of 10¹²; protobuf says which."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"the request cannot be sent: {error}") from None
