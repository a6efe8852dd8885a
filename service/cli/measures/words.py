"""Slots and other labels of words, and texts without some of theirs."""

from typing import TYPE_CHECKING

from service.cli.measures.report import Asked, Measured, Watch

if TYPE_CHECKING:
    from service.client import Client, Model

SPANS = "spans:conlleval|avg:micro"
DELETIONS = "words:clipped|case:lower|marks:no|avg:macro"
ROUGE = "F1|case:lower|marks:no|stem:no|avg:macro"


def measure_tags(client: "Client", model: "Model", asked: Asked) -> Measured:
    """F1 of the spans; the accuracy of the texts' labels beside it, where there are any."""
    from training.evaluate import label_tokens, of_spans, read_test_tags, score_labels, score_spans

    watch = Watch(model, asked)
    examples = read_test_tags(asked.file, asked.recipe_of(model.name))[: asked.limit]
    texts = (example.text for example in examples)
    answers = watch.all(client.tag_many(texts, model=model.name, truncate=True), len(examples))
    found = [
        label_tokens(example.tokens, [(word.start, word.label) for word in answer.words])
        for example, answer in zip(examples, answers, strict=True)
    ]
    wanted = [example.labels for example in examples]
    score = score_spans(found, wanted)
    more = {"precision": score.precision, "recall": score.recall, "all labels right": score.exact}
    if model.text_labels and examples[0].text_label:
        labels = [answer.label for answer in answers]
        more["text label"] = score_labels(labels, [example.text_label for example in examples])
    num_tokens = sum(answer.num_tokens for answer in answers)
    report = watch.report("F1", score.f1, len(examples), num_tokens, SPANS, more=more)
    return Measured(report, [" ".join(labels) for labels in found], of_spans(found, wanted))


def measure_summaries(client: "Client", model: "Model", asked: Asked) -> Measured:
    """F1 of the words that are left where words are left out; ROUGE where summaries are written."""
    from training.evaluate import of_means, read_test_summaries, score_deletions, score_rouge

    watch = Watch(model, asked)
    examples = read_test_summaries(asked.file, asked.recipe_of(model.name))[: asked.limit]
    texts = (example.source for example in examples)
    answers = watch.all(
        client.summarize_many(texts, model=model.name, truncate=True, beam_size=asked.beam), len(examples)
    )
    found, wanted = [answer.text for answer in answers], [example.target for example in examples]
    if model.labels:
        deletion = score_deletions(found, wanted, [example.source for example in examples])
        more = {"exact": deletion.exact, "left of the text": 100 * deletion.ratio}
        num_read = sum(answer.num_source_tokens for answer in answers)
        report = watch.report("F1", deletion.f1, len(examples), num_read, DELETIONS, more=more)
        rows = zip(found, wanted, (example.source for example in examples), strict=True)
        each = [score_deletions([ours], [theirs], [text]).f1 for ours, theirs, text in rows]
        return Measured(report, found, of_means(each))
    rouge = score_rouge(found, wanted)
    more = {"ROUGE-1": rouge.one, "ROUGE-2": rouge.two}
    num_written = sum(len(answer.hypotheses[0].tokens) for answer in answers)
    beam = asked.beam or model.beam_size
    each = [score_rouge([ours], [theirs]).longest for ours, theirs in zip(found, wanted, strict=True)]
    report = watch.report(
        "ROUGE-L", rouge.longest, len(examples), num_written, ROUGE, beam_size=beam, more=more
    )
    return Measured(report, found, of_means(each))
