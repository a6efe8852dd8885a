"""What a pair of languages lacks that people say first, and texts as people type them.

    python training/recipes/everyday.py DATA/tatoeba-es-en es en DATA/everyday/es-en.tsv

writes pairs for a translator from the first language to the second, to be learned from beside `train.tsv`:

- the phrases of `everyday.tsv` (greetings, courtesies, days, single words: our own), each as it is and as it may be
  typed, and with names in some of them;
- of one pair in eight of `train.tsv` its source as it is typed in haste: no capitals, no marks, at times no accents;
- a few in capitals;
- short pairs one behind the other, since people write more than one sentence.

Targets stay as they should be written. A phrase that shares a side with dev or test is left out.
"""

import argparse
import random
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

Pair = tuple[str, str]
"""A source, and what it means."""

PHRASES = Path(__file__).with_suffix(".tsv")
COLUMNS = "en", "es"
TIMES = 40
"""How often each phrase is there."""
HASTY, SHOUTED, JOINED = 1 / 8, 1 / 50, 1 / 16
"""Shares of `train.tsv`."""
BARE = 0.4
"""Share of what is typed in haste that lacks accents and apostrophes, too."""
LONGEST_JOINED = 220
"""Characters."""
NAMED = [
    ("My name is {}.", "Me llamo {}."),
    ("My name is {}.", "Mi nombre es {}."),
    ("I'm {}.", "Soy {}."),
    ("Hello, {}.", "Hola, {}."),
    ("Hello, my name is {}.", "Hola, me llamo {}."),
    ("Good morning, {}.", "Buenos días, {}."),
    ("Thank you, {}.", "Gracias, {}."),
    ("See you tomorrow, {}.", "Hasta mañana, {}."),
    ("{} is my friend.", "{} es mi amigo."),
    ("Where is {}?", "¿Dónde está {}?"),
    ("I live with {}.", "Vivo con {}."),
    ("Happy birthday, {}!", "¡Feliz cumpleaños, {}!"),
]
# fmt: off
NAMES = (
    "Ana", "Juan", "María", "José", "Carmen", "Luis", "Laura", "Pablo", "Lucía", "Carlos", "Marta",
    "Pedro", "Elena", "Miguel", "Sara", "Javier", "Paula", "Diego", "Sofía", "Andrés", "Isabel",
    "Antonio", "Clara", "Manuel", "Julia", "Fernando", "Rosa", "Jorge", "Alicia", "Daniel", "John",
    "Mary", "Peter", "Anna", "David", "Emma", "James", "Kate", "Paul", "Alice", "Tom", "Lisa",
    "Mark", "Susan", "George", "Lucy", "Robert", "Helen", "Martin", "Eva", "Oscar", "Nina", "Hugo",
    "Irene", "Bruno", "Olga", "Víctor", "Silvia", "Raúl", "Nora",
)
# fmt: on
MARKS = re.compile(r"[.!?…]+(?=\s|$)|[¡¿]")
APOSTROPHES = re.compile(r"['’]")


def hasty(text: str, bare: bool) -> str:
    """As it is typed in haste: no capitals, no marks; `bare`: no accents and no apostrophes either."""
    typed = MARKS.sub("", text).lower().strip()
    return APOSTROPHES.sub("", unaccented(typed)) if bare else typed


def unaccented(text: str) -> str:
    """á for a, ñ for n: what a keyboard of another country has."""
    whole = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(each for each in whole if not unicodedata.combining(each)))


def phrases(known: set[str], source: int, rng: random.Random) -> Iterator[Pair]:
    """Those of `everyday.tsv` that are not `known`, the first meaning of each, in several ways of typing."""
    own = (line.split("\t") for line in PHRASES.read_text("utf-8").splitlines())
    allowed = [sides for sides in own if known.isdisjoint(map(words, sides))]
    named = [[side.format(name) for side in sides] for name in NAMES for sides in NAMED]
    for given, wanted in [*_first_meanings(allowed, source) * TIMES, *_first_meanings(named, source)]:
        ways = given, given, hasty(given, bare=False), hasty(given, bare=True), given.rstrip(".")
        yield rng.choice(ways), wanted


def _first_meanings(rows: Iterable[Sequence[str]], source: int) -> list[Pair]:
    meant = dict[str, str]()
    for sides in rows:
        meant.setdefault(sides[source], sides[1 - source])
    return list(meant.items())


def varied(pairs: list[Pair], rng: random.Random) -> Iterator[Pair]:
    """Pairs of `train.tsv` with their sources typed otherwise, and some one behind the other."""
    for source, target in rng.sample(pairs, int(len(pairs) * HASTY)):
        if typed := hasty(source, bare=rng.random() < BARE):
            yield typed, target
    for source, target in rng.sample(pairs, int(len(pairs) * SHOUTED)):
        yield source.upper(), target
    for _ in range(int(len(pairs) * JOINED)):
        several = rng.sample(pairs, rng.choice((2, 2, 3, 4)))
        both = " ".join(one for one, _ in several), " ".join(other for _, other in several)
        if max(map(len, both)) <= LONGEST_JOINED:
            yield both


def words(text: str) -> str:
    """What is left of a text where neither case nor marks count."""
    return " ".join(re.findall(r"\w+", text.lower()))


def read(path: Path, source: int) -> Iterator[Pair]:
    """Pairs of a file, the source first."""
    for line in path.read_text("utf-8").splitlines():
        sides = line.split("\t")
        yield sides[source], sides[1 - source]


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path, help="train.tsv, dev.tsv and test.tsv, English and Spanish")
    parser.add_argument("source", choices=COLUMNS)
    parser.add_argument("target", choices=COLUMNS)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    if args.source == args.target:
        parser.error("from one language to the other")
    source, rng = COLUMNS.index(args.source), random.Random(1)
    kept_back = (
        side for name in ("dev", "test") for pair in read(args.folder / f"{name}.tsv", 0) for side in pair
    )
    known = set(map(words, kept_back))
    pairs = list(read(args.folder / "train.tsv", source))
    found = [*phrases(known, source, rng), *varied(pairs, rng)]
    rng.shuffle(found)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("".join(lines(found, source)), "utf-8")
    print(f"{args.out}: {len(found):,} pairs")


def lines(pairs: Iterable[Pair], source: int) -> Iterator[str]:
    """Of the file, English first."""
    for pair in pairs:
        yield "\t".join(pair if source == 0 else pair[::-1]) + "\n"


if __name__ == "__main__":
    main()
