"""Outputs that are right or wrong as wholes: how words are said, or written in another script."""

from typing import TYPE_CHECKING

from service.cli.measures.report import Asked, Measured, Watch

if TYPE_CHECKING:
    from service.client import Client, Model

ANY = "outputs:whole|refs:any|tokens:levenshtein to the nearest"


def measure(client: "Client", model: "Model", asked: Asked) -> Measured:
    """Errors in percent: sources whose output is none of their references, and tokens; each source counts once."""
    from training.evaluate import gathered, of_means, read_test_pairs, score_whole

    languages, watch = (model.source_language, model.target_language), Watch(model, asked)
    pairs = read_test_pairs(asked.file, asked.recipe_of(model.name), *languages, asked.columns)
    wanted = dict(list(gathered(pairs).items())[: asked.limit])
    answers = watch.all(
        client.translate_many(wanted, model=model.name, beam_size=asked.beam, truncate=True), len(wanted)
    )
    found, num_tokens = [answer.text for answer in answers], sum(len(answer.tokens) for answer in answers)
    errors = score_whole(found, list(wanted.values()))
    report = watch.report(
        "WER",
        errors.whole,
        len(wanted),
        num_tokens,
        ANY,
        examples="words",
        beam_size=asked.beam or model.beam_size,
        more={"token error rate": errors.tokens},
    )
    each = [score_whole([ours], [theirs]).whole for ours, theirs in zip(found, wanted.values(), strict=True)]
    return Measured(report, found, of_means(each))
