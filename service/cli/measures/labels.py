"""Accuracy of labels."""

from typing import TYPE_CHECKING

from service.cli.measures.report import Asked, Measured, Watch

if TYPE_CHECKING:
    from service.client import Client, Model


def measure(client: "Client", model: "Model", asked: Asked) -> Measured:
    """Of the test set's texts, in percent."""
    from training.evaluate import of_labels, read_test_texts, score_labels

    watch = Watch(model, asked)
    examples = read_test_texts(
        asked.file, asked.recipe_of(model.name), asked.columns, asked.text, asked.label
    )[: asked.limit]
    texts = (example.text for example in examples)
    answers = watch.all(
        client.classify_many(texts, model=model.name, num_labels=1, truncate=True), len(examples)
    )
    found = [answer.label for answer in answers]
    wanted = [example.label for example in examples]
    num_tokens = sum(answer.num_tokens for answer in answers)
    report = watch.report("accuracy", score_labels(found, wanted), len(examples), num_tokens, "labels:all")
    return Measured(report, found, of_labels(found, wanted))
