"""Options of the commands that write text: how their tokens are chosen, and what is told with them."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from service.client.options import Decoding

PANEL = "How tokens are chosen"

Number = int | None
Share = float | None


def _option(help: str, *names: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=PANEL, show_default=False)


def decoding(
    beam: Annotated[
        Number,
        _option(
            "Hypotheses kept side by side (by default the model's number; 1 on a terminal).", metavar="N"
        ),
    ] = None,
    hypotheses: Annotated[Number, _option("How many of them to show, best first.", metavar="N")] = None,
    length_penalty: Annotated[
        Share, _option("0 favours short outputs, 1 and more long ones.", metavar="α")
    ] = None,
    coverage_penalty: Annotated[
        Share, _option("Above 0: what leaves out parts of the text is worth less.", metavar="β")
    ] = None,
    min_length: Annotated[Number, _option("Shortest output, in tokens.", metavar="N")] = None,
    max_length: Annotated[Number, _option("Longest output, in tokens.", metavar="N")] = None,
    prefix: Annotated[str | None, _option("Begin the output with this text.", metavar="TEXT")] = None,
    stop: Annotated[
        list[str] | None, _option("End before this text; may be given several times.", metavar="TEXT")
    ] = None,
    repetition_penalty: Annotated[
        Share, _option("Above 1: what was written before is less likely.", metavar="θ")
    ] = None,
    no_repeat_ngram: Annotated[Number, _option("Write no N tokens in a row twice.", metavar="N")] = None,
    temperature: Annotated[Share, _option("Draw tokens: below 1 safer, above 1 bolder.", metavar="T")] = None,
    topk: Annotated[
        Number, _option("Draw from the N best; 0: from all; 1: take the best.", metavar="N")
    ] = None,
    topp: Annotated[
        Share, _option("Draw from the most probable, up to this share of the probability.", metavar="P")
    ] = None,
    seed: Annotated[
        Number, _option("Draw the same again (by default the server chooses).", metavar="N")
    ] = None,
    attention: Annotated[bool, _option("Show what of the text each token looked at.", "--attention")] = False,
    alternatives: Annotated[
        Number, _option("Show N others for each token, with their probabilities.", metavar="N")
    ] = None,
    replace_unknowns: Annotated[
        bool, _option("Copy words from the text that the model does not know.", "--replace-unknowns")
    ] = False,
) -> "Decoding":
    """What was asked for."""
    return {
        "beam_size": beam,
        "num_hypotheses": hypotheses,
        "length_penalty": length_penalty,
        "coverage_penalty": coverage_penalty,
        "min_length": min_length,
        "max_length": max_length,
        "target_prefix": prefix,
        "stop": stop or None,
        "repetition_penalty": repetition_penalty,
        "no_repeat_ngram_size": no_repeat_ngram,
        "temperature": temperature,
        "sampling_topk": topk,
        "sampling_topp": topp,
        "seed": seed,
        "return_attention": attention or None,
        "num_alternatives": alternatives,
        "replace_unknowns": replace_unknowns or None,
    }


def with_decoding(command: Callable[..., None]) -> Callable[..., None]:
    """The command with all these options, handed to it as one, `decoding`."""
    theirs = inspect.signature(command)
    ours = inspect.signature(decoding)

    @wraps(command)
    def run(**given: Any) -> None:
        asked = decoding(**{name: given.pop(name) for name in ours.parameters})
        command(**given, decoding=asked)

    kept = [one for name, one in theirs.parameters.items() if name != "decoding"]
    parameters = [*kept, *ours.parameters.values()]
    named = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    run.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in named}
    return run


def wants_table(asked: "Decoding") -> bool:
    """Whether more is to be shown than a text."""
    num = asked.get("num_hypotheses") or 1
    return bool(num > 1 or asked.get("return_attention") or asked.get("num_alternatives"))
