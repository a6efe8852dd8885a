"""BLEU of translations."""

from typing import TYPE_CHECKING

from service.cli.measures.report import Asked, Measured, Watch

if TYPE_CHECKING:
    from service.client import Client, Model


def measure(client: "Client", model: "Model", asked: Asked) -> Measured:
    """Of the test set's pairs, against one reference each."""
    from training.evaluate import of_translations, read_test_pairs, score_translations

    languages, watch = (model.source_language, model.target_language), Watch(model, asked)
    pairs = read_test_pairs(asked.file, asked.recipe_of(model.name), *languages, asked.columns)[: asked.limit]
    texts = (pair.source for pair in pairs)
    answers = watch.all(
        client.translate_many(texts, model=model.name, beam_size=asked.beam, truncate=True), len(pairs)
    )
    found = [answer.text for answer in answers]
    wanted = [pair.target for pair in pairs]
    bleu = score_translations(found, wanted)
    num_tokens, beam = sum(len(answer.tokens) for answer in answers), asked.beam or model.beam_size
    report = watch.report("BLEU", bleu.score, len(pairs), num_tokens, bleu.signature, unit="", beam_size=beam)
    return Measured(report, found, of_translations(found, wanted))
