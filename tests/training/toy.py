"""A task small enough to learn in a second: the target repeats the source."""

import itertools
from pathlib import Path

LETTERS = "abcdef"

RECIPE = """
name = "toy"
task = "translate"
source = "xx"
target = "yy"

[data]
columns = ["xx", "yy"]
train = ["train.tsv"]
dev = ["train.tsv"]

[tokenizer]
vocab_size = 40

[model]
embedding = 16
dropout = 0.1
encoder = {{ cell = "gru", hidden = 16, bidirectional = true }}
decoder = {{ cell = "gru", hidden = 16, attention = "luong" }}

[training]
batch_tokens = 64
learning_rate = 1e-2
warmup_steps = 5
max_epochs = {epochs}
save_minutes = {save_minutes}
score_examples = 4
"""

LABELLED = """
name = "toy-labels"
task = "classify"
source = "xx"

[data]
train = ["labels.tsv"]
dev = ["labels.tsv"]

[tokenizer]
vocab_size = 40

[model]
embedding = 16
dropout = 0.0
pooling = "{pooling}"
encoder = {{ hidden = 16 }}

[training]
batch_tokens = 32
learning_rate = 2e-2
warmup_steps = 5
max_epochs = 8
label_smoothing = 0.0
"""


def write_data(folder: Path) -> Path:
    """`train.tsv` with every word pair and triple start, `labels.tsv` that says whether a text has an "a"."""
    texts = [" ".join(letters) for size in (1, 2, 3) for letters in itertools.product(LETTERS, repeat=size)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.tsv").write_text("".join(f"{text}\t{text}\n" for text in texts), "utf-8")
    (folder / "labels.tsv").write_text("".join(f"{'a' in text}\t{text}\n" for text in texts), "utf-8")
    return folder


def write_recipe(folder: Path, epochs: int = 2, save_minutes: float = 3.0) -> Path:
    path = folder / "toy.toml"
    path.write_text(RECIPE.format(epochs=epochs, save_minutes=save_minutes), "utf-8")
    return path
