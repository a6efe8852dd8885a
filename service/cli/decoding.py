"""Options of the commands that write text: how their tokens are chosen, and what is told with them."""

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

if TYPE_CHECKING:
    from service.client.options import Decoding

PANEL = "How tokens are chosen"

Number = int | None
Share = float | None


def _option(help: str, *names: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=PANEL, show_default=False)


CHOICES: dict[str, tuple[str, Any]] = {
    "beam": (
        "beam_size",
        Annotated[
            Number,
            _option(
                "Hypotheses kept side by side (by default the model's number; 1 on a terminal).", metavar="N"
            ),
        ],
    ),
    "hypotheses": (
        "num_hypotheses",
        Annotated[Number, _option("How many of them to show, best first.", metavar="N")],
    ),
    "length_penalty": (
        "length_penalty",
        Annotated[Share, _option("0 favours short outputs, 1 and more long ones.", metavar="α")],
    ),
    "coverage_penalty": (
        "coverage_penalty",
        Annotated[Share, _option("Above 0: what leaves out parts of the text is worth less.", metavar="β")],
    ),
    "min_length": ("min_length", Annotated[Number, _option("Shortest output, in tokens.", metavar="N")]),
    "max_length": ("max_length", Annotated[Number, _option("Longest output, in tokens.", metavar="N")]),
    "prefix": (
        "target_prefix",
        Annotated[str | None, _option("Begin the output with this text.", metavar="TEXT")],
    ),
    "stop": (
        "stop",
        Annotated[
            list[str] | None, _option("End before this text; may be given several times.", metavar="TEXT")
        ],
    ),
    "repetition_penalty": (
        "repetition_penalty",
        Annotated[Share, _option("Above 1: what was written before is less likely.", metavar="θ")],
    ),
    "no_repeat_ngram": (
        "no_repeat_ngram_size",
        Annotated[Number, _option("Write no N tokens in a row twice.", metavar="N")],
    ),
    "temperature": (
        "temperature",
        Annotated[Share, _option("Draw tokens: below 1 safer, above 1 bolder.", metavar="T")],
    ),
    "topk": (
        "sampling_topk",
        Annotated[Number, _option("Draw from the N best; 0: from all; 1: take the best.", metavar="N")],
    ),
    "topp": (
        "sampling_topp",
        Annotated[
            Share, _option("Draw from the most probable, up to this share of the probability.", metavar="P")
        ],
    ),
    "seed": (
        "seed",
        Annotated[Number, _option("Draw the same again (by default the server chooses).", metavar="N")],
    ),
    "attention": (
        "return_attention",
        Annotated[bool, _option("Show what of the text each token looked at.", "--attention")],
    ),
    "alternatives": (
        "num_alternatives",
        Annotated[Number, _option("Show N others for each token, with their probabilities.", metavar="N")],
    ),
    "replace_unknowns": (
        "replace_unknowns",
        Annotated[
            bool, _option("Copy words from the text that the model does not know.", "--replace-unknowns")
        ],
    ),
}
"""Parameter → its field in a request, and the option. None, or a flag that is not given, is the model's own way."""


def with_decoding(command: Callable[..., None]) -> Callable[..., None]:
    """The command with all these options, handed to it as one, `decoding`."""

    @wraps(command)
    def run(**given: Any) -> None:
        asked = {field: _asked(given.pop(name)) for name, (field, _) in CHOICES.items()}
        command(**given, decoding=asked)

    own = [one for name, one in inspect.signature(command).parameters.items() if name != "decoding"]
    named = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in [*own, *_parameters()]]
    run.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in named}
    return run


def _parameters() -> Iterator[inspect.Parameter]:
    for name, (_, option) in CHOICES.items():
        default = False if get_args(option)[0] is bool else None
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option)


def _asked(value: Any) -> Any:
    """None for what was not asked for."""
    return None if value is False or value == [] else value


def given_flags(asked: "Decoding") -> list[str]:
    """The options that were given, as they are called on the command line."""
    return [
        f"--{name.replace('_', '-')}" for name, (field, _) in CHOICES.items() if asked.get(field) is not None
    ]


def wants_table(asked: "Decoding") -> bool:
    """Whether more is to be shown than a text."""
    num = asked.get("num_hypotheses") or 1
    return bool(num > 1 or asked.get("return_attention") or asked.get("num_alternatives"))
