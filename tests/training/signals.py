"""Sound and series small enough to learn in seconds, and recipes for them."""

import itertools
import json
import wave
from pathlib import Path
from typing import Any

import numpy as np

RATE = 8000
PITCHES = {"0": 400, "1": 800, "2": 1400}
"""What the toy digits sound like."""

HEARING = """
name = "toy-digits"
task = "transcribe"
target = "en"

[data]
format = "digits"
train = ["tones"]
dev = ["tones"]
num_strings = 240
dev_strings = 10
shortest = 1
longest = 3
gap_seconds = [0.03, 0.1]
test_indexes = 2
dev_indexes = 2
leave_out = "{leave_out}"

[sound]
sample_rate = 8000
mel_bands = 12
stack = 2
tail_ms = 60

[tokenizer]
kind = "{unit}"
lowercase = true

[model]
dropout = 0.0
encoder = {{ hidden = 32, bidirectional = {two_way} }}

[training]
batch_tokens = 400
learning_rate = 2e-2
warmup_steps = 5
max_epochs = {epochs}
patience = 45
bf16 = false

[export]
max_input_tokens = 1000
"""

LABELLING = """
name = "toy-occupancy"
task = "predict"

[data]
columns = ["level", "slope"]
label = "state"
label_names = {{ 0 = "low", 1 = "high" }}
train = ["series/*.csv"]
{split}
window = 40

[model]
dropout = 0.0
encoder = {{ cell = "gru", hidden = 16, bidirectional = {two_way} }}

[training]
batch_tokens = 200
learning_rate = 2e-2
warmup_steps = 5
max_epochs = 6
bf16 = false

[export]
max_input_tokens = 1000
max_loss = 5.0
"""

LATER = """
dev = ["series/a.csv"]
train_part = [0.0, 0.8]
dev_part = [0.8, 1.0]"""
"""Dev is what comes after what is learned from."""
HELD_OUT = """
hold_out = 3
scaling = "recent"
half_lives = [2, 8]"""
"""Dev is every third window; readings are measured by what came just before."""

FORECASTING = """
name = "toy-waves"
task = "predict"

[data]
columns = ["level"]
scaling = "{scaling}"
train = ["series/*.csv"]
dev = ["series/*.csv"]
train_part = [0.0, 0.8]
dev_part = [0.8, 1.0]
window = 40

[model]
dropout = 0.0
encoder = {{ cell = "gru", hidden = 24 }}

[training]
batch_tokens = 200
learning_rate = 2e-2
warmup_steps = 5
max_epochs = 12
bf16 = false

[export]
max_input_tokens = 1000
max_loss = 5.0
"""

DESCRIBING = """
name = "toy-shapes"
task = "caption"
target = "en"

[data]
train = ["shapes/all.jsonl", "shapes/all.jsonl", "shapes/all.jsonl", "shapes/all.jsonl", "shapes/all.jsonl"]
dev = ["shapes/all.jsonl"]

[tokenizer]
kind = "words"

[model]
embedding = 16
size = 24
dropout = 0.0
decoder = {{ cell = "gru", hidden = 32, attention = "none" }}

[training]
batch_tokens = 100
learning_rate = 2e-2
warmup_steps = 5
max_epochs = 10
label_smoothing = 0.0
bf16 = false
"""


def write_recipe(folder: Path, text: str, **parts: Any) -> Path:
    path = folder / "signal.toml"
    path.write_text(text.format(**parts), "utf-8")
    return path


def tone(pitch: float, seconds: float = 0.12, shift: float = 0.0) -> Any:
    time = np.arange(round(seconds * RATE)) / RATE
    return (6000 * np.sin(2 * np.pi * pitch * time + shift)).astype(np.int16)


def write_wav(path: Path, samples: Any, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setsampwidth(2)
        file.setnchannels(1)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def write_signals(folder: Path) -> Path:
    """`tones/{digit}_{speaker}_{index}.wav`; `series/{a,b}.csv`: waves that are high or low; `shapes/all.jsonl`."""
    for digit, pitch in PITCHES.items():
        for who, speaker in enumerate(("ann", "bob")):
            for index in range(8):
                samples = tone(pitch * (1 + 0.02 * who), 0.1 + 0.01 * index, index)
                write_wav(folder / "tones" / f"{digit}_{speaker}_{index}.wav", samples)
    for name, period in (("a", 17), ("b", 23)):
        level = 20 + 5 * np.sin(2 * np.pi * np.arange(300) / period)
        rows = zip(level, np.gradient(level), level > 20, strict=True)
        lines = [f'"{n}",2020,{x:.4f},{y:.4f},{int(z)}' for n, (x, y, z) in enumerate(rows)]
        (folder / "series").mkdir(exist_ok=True)
        (folder / "series" / f"{name}.csv").write_text(
            "\n".join(['"date","level","slope","state"', *lines]) + "\n"
        )
    (folder / "shapes").mkdir()
    (folder / "shapes" / "all.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in shapes()))
    return folder


def shapes() -> list[dict[str, Any]]:
    """Vectors of five numbers with what they show: `red circle`, `two blue stars`, …"""
    found = []
    for at, (many, blue, star) in enumerate(itertools.product((0, 1), repeat=3)):
        for shift in range(4):
            vector = [many, blue, star, 5.0 + 0.1 * shift, -0.3 * (at % 2)]
            colour, shape = ("red", "blue")[blue], ("circle", "star")[star]
            found.append(
                {"vector": vector, "text": f"two {colour} {shape}s" if many else f"{colour} {shape}"}
            )
    return found
