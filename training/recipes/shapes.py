"""Writes the data of `shapes.toml`: scenes of one or two groups of shapes, as vectors, with what they show.

There are no pictures here. A vector stands for what an image encoder would make of one: the attributes of the scene,
mixed by a fixed random matrix, with noise. Scenes of the test occur neither in train nor in dev.

    python training/recipes/shapes.py DATA/shapes
"""

import itertools
import json
import random
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Vector = np.ndarray[Any, np.dtype[np.float64]]

COUNTS = ("one", "two", "three", "four")
SIZES = ("small", "large")
COLOURS = ("red", "green", "blue", "yellow", "black", "white")
SHAPES = ("circle", "square", "triangle", "star", "cross")
PLACES = ("above", "below", "left of", "right of")
DIM, NOISE = 64, 0.15
NUM = {"train": 12_000, "dev": 500, "test": 1_000}

Group = tuple[str, ...]
"""Count, size, colour and shape."""


class Scene(NamedTuple):
    """A group of shapes, and where another one lies, if there is one."""

    first: Group
    place: str = ""
    second: Group = ()

    def text(self) -> str:
        """What it shows."""
        return " ".join(filter(None, (_words(self.first), self.place, _words(self.second))))

    def attributes(self) -> Vector:
        """A number for each attribute of either group, and for each place: 1 where the scene has it."""
        kinds = (*COUNTS, *SIZES, *COLOURS, *SHAPES)
        has = [kind in group for group in (self.first, self.second) for kind in kinds]
        return np.array([*has, *(place == self.place for place in PLACES)], np.float64)


def main(folder: Path) -> None:
    """Write `train.jsonl`, `dev.jsonl` and `test.jsonl`, always the same ones."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(1)
    scenes = iter(_scenes(random.Random(1), sum(NUM.values())))
    mixing = noise.normal(0, 1 / 3, (len(Scene(()).attributes()), DIM))
    for split, number in NUM.items():
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for scene in itertools.islice(scenes, number):
                vector = scene.attributes() @ mixing + noise.normal(0, NOISE, DIM)
                entry = {"vector": [round(float(x), 4) for x in vector], "text": scene.text()}
                file.write(json.dumps(entry) + "\n")


def _scenes(dice: random.Random, number: int) -> list[Scene]:
    """Different ones."""
    groups = list(itertools.product(COUNTS, SIZES, COLOURS, SHAPES))
    found = dict.fromkeys(map(Scene, groups))
    while len(found) < number:
        found[Scene(dice.choice(groups), dice.choice(PLACES), dice.choice(groups))] = None
    scenes = list(found)
    dice.shuffle(scenes)
    return scenes


def _words(group: Group) -> str:
    if not group:
        return ""
    count, size, colour, shape = group
    plural = shape if count == "one" else f"{shape}es" if shape.endswith("s") else f"{shape}s"
    return f"{count} {size} {colour} {plural}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
