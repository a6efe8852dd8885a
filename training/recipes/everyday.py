"""What a pair of languages lacks that people say first, and texts as people type them.

    python training/recipes/everyday.py DATA/tatoeba-es-en es en DATA/everyday/es-en.tsv

writes pairs for a translator from the first language to the second, to be learned from beside `train.tsv`:

- the phrases of `everyday.tsv` (greetings, courtesies, days, single words: our own), each as it is and as it may be
  typed, and with names in some of them;
- of one pair in eight of `train.tsv` its source as it is typed in haste: no capitals, no marks, at times no accents;
- one in sixteen in capitals;
- pairs about Tom, Mary and Boston, with other names in their places, half of them made up: who has to write names that
  nobody has learns to copy them;
- short pairs one behind the other, since people write more than one sentence.

Targets stay as they should be written. A phrase that shares a side with dev or test is left out.

    python training/recipes/everyday.py DATA/tatoeba-es-en es en DATA/everyday/dev-hasty.tsv --measure hasty

writes pairs of dev so changed instead, to measure on: `hasty`, `bare` (no accents and apostrophes either), `shouted`
(in capitals), `joined`, or `named`, with names that are in nothing that is learned from.
"""

import argparse
import random
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

Pair = tuple[str, str]
"""A source, and what it means."""

PHRASES = Path(__file__).with_suffix(".tsv")
COLUMNS = "en", "es"
TIMES = 40
"""How often each phrase is there."""
HASTY, SHOUTED, JOINED = 1 / 8, 1 / 16, 1 / 16
"""Shares of `train.tsv`."""
BARE = 0.4
"""Share of what is typed in haste that lacks accents and apostrophes, too."""
LONGEST_JOINED = 220
"""Characters."""
RENAMED = {"Tom": 0.6, "Mary": 1.0, "John": 1.0, "Boston": 1.0}
"""Share of the pairs with this name that are there again with another one."""
INVENTED, WITH_SURNAME = 1 / 2, 1 / 6
"""Shares of the names."""
MEASURED = 1000
"""Pairs of dev."""
MEASURED_JOINED = 300
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
WOMEN = (
    "Ana", "María", "Carmen", "Laura", "Lucía", "Marta", "Elena", "Sara", "Paula", "Sofía", "Isabel",
    "Clara", "Julia", "Rosa", "Alicia", "Mary", "Anna", "Emma", "Kate", "Alice", "Lisa", "Susan",
    "Lucy", "Helen", "Eva", "Nina", "Irene", "Olga", "Silvia", "Nora", "Ángela", "Beatriz", "Cristina",
    "Daniela", "Gabriela", "Inés", "Jimena", "Lorena", "Mónica", "Natalia", "Patricia", "Raquel",
    "Teresa", "Verónica", "Yolanda", "Amy", "Betty", "Carol", "Diana", "Emily", "Grace", "Jane",
    "Jessica", "Karen", "Linda", "Margaret", "Nancy", "Rachel", "Sandra", "Victoria", "Aisha", "Mei",
)
MEN = (
    "Juan", "José", "Luis", "Pablo", "Carlos", "Pedro", "Miguel", "Javier", "Diego", "Andrés",
    "Antonio", "Manuel", "Fernando", "Jorge", "Daniel", "John", "Peter", "David", "James", "Paul",
    "Tom", "Mark", "George", "Robert", "Martin", "Oscar", "Hugo", "Bruno", "Víctor", "Raúl",
    "Alberto", "Alejandro", "Álvaro", "Eduardo", "Enrique", "Felipe", "Francisco", "Gabriel",
    "Ignacio", "Iván", "Joaquín", "Lorenzo", "Mario", "Nicolás", "Ramón", "Ricardo", "Roberto",
    "Salvador", "Sergio", "Adam", "Andrew", "Charles", "Chris", "Edward", "Frank", "Henry", "Jack",
    "Kevin", "Michael", "Patrick", "Richard", "Simon", "Steven", "Thomas", "William", "Omar", "Kenji",
)
SURNAMES = (
    "García", "Fernández", "López", "Martínez", "Sánchez", "Pérez", "Gómez", "Ruiz", "Díaz", "Moreno",
    "Álvarez", "Romero", "Torres", "Navarro", "Vargas", "Castillo", "Smith", "Johnson", "Brown",
    "Miller", "Wilson", "Taylor", "Clark", "Walker", "Wright", "Hill", "Baker", "Nelson", "Turner",
)
CITIES = (
    "Madrid", "Barcelona", "Bilbao", "Granada", "Toledo", "Lima", "Quito", "Bogotá", "Caracas",
    "Santiago", "Buenos Aires", "Montevideo", "Chicago", "Dallas", "Miami", "Toronto", "Berlin",
    "Oslo", "Dublin", "Manchester", "Liverpool", "Seattle", "Denver", "Houston", "Salamanca",
)  # those that both languages call alike
STRANGERS = {
    "Tom": ("Gonzalo", "Rodrigo", "Leandro", "Walter", "Emilio", "Gustavo", "Nathan", "Oliver", "Marvin", "Rajesh"),
    "Mary": ("Valeria", "Camila", "Samantha", "Heather", "Rebeca", "Adriana", "Stephanie", "Pilar", "Ximena", "Fatima"),
    "Boston": ("Pamplona", "Cuenca", "Tampa", "Portland", "Arequipa", "Medellín", "Leeds", "Huelva"),
}
"""Who is in nothing that is learned from."""
OPENING = (
    "", *"bcdfglmnprstvz", "br", "cl", "ch", "dr", "fl", "gr", "pl", "pr", "tr", "j", "k", "w", "y", "qu",
)
CLOSING = ("",) * 6 + ("n", "r", "l", "s", "m", "t", "d", "x", "ck", "nd", "rt")
"""What a syllable of a name that is made up begins with, and ends with."""
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
    names = (*WOMEN, *MEN, *(invented(rng) for _ in WOMEN + MEN))
    named = [[side.format(name) for side in sides] for name in names for sides in NAMED]
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
    yield from renamed(pairs, rng)
    for _ in range(int(len(pairs) * JOINED)):
        if both := joined(pairs, rng):
            yield both


def joined(pairs: list[Pair], rng: random.Random) -> Pair | None:
    """Two to four of them as one; None: that would be too long."""
    several = rng.sample(pairs, rng.choice((2, 2, 3, 4)))
    both = " ".join(one for one, _ in several), " ".join(other for _, other in several)
    return both if max(map(len, both)) <= LONGEST_JOINED else None


def renamed(pairs: list[Pair], rng: random.Random) -> Iterator[Pair]:
    """Those of one known name, with another one in its place."""
    for name, share in RENAMED.items():
        for pair in pairs:
            if _has_once(pair, name) and rng.random() < share:
                yield _with(pair, name, other_name(name, rng))


def other_name(name: str, rng: random.Random) -> str:
    """In place of this one; made up, or of the same gender."""
    if rng.random() < INVENTED:
        return invented(rng)
    if name == "Boston":
        return rng.choice(CITIES)
    first = rng.choice(WOMEN if name == "Mary" else MEN)
    return f"{first} {rng.choice(SURNAMES)}" if rng.random() < WITH_SURNAME else first


def invented(rng: random.Random) -> str:
    """Two or three syllables."""
    syllables = (
        rng.choice(OPENING) + rng.choice("aaeeiioou") + rng.choice(CLOSING)
        for _ in range(rng.choice((2, 2, 3)))
    )
    return "".join(syllables).capitalize()


def _has_once(pair: Pair, name: str) -> bool:
    return all(len(re.findall(rf"\b{name}\b", side)) == 1 for side in pair)


def _with(pair: Pair, name: str, other: str) -> Pair:
    source, target = (re.sub(rf"\b{name}\b", other, side) for side in pair)
    return source, target


def measured(pairs: list[Pair], how: str, rng: random.Random) -> Iterator[Pair]:
    """Pairs of dev, changed."""
    if how == "joined":
        several = (joined(pairs, rng) for _ in range(2 * MEASURED_JOINED))
        yield from islice(filter(None, several), MEASURED_JOINED)
    elif how == "named":
        for name, others in STRANGERS.items():
            yield from (_with(pair, name, rng.choice(others)) for pair in pairs if _has_once(pair, name))
    else:
        typed = {"hasty": lambda text: hasty(text, bare=False), "bare": lambda text: hasty(text, bare=True)}
        for source, target in rng.sample(pairs, min(MEASURED, len(pairs))):
            yield typed.get(how, str.upper)(source), target


def words(text: str) -> str:
    """What is left of a text where neither case nor marks count."""
    return " ".join(re.findall(r"\w+", text.lower()))


def read(path: Path, source: int) -> Iterator[Pair]:
    """Pairs of a file, the source first."""
    for line in path.read_text("utf-8").splitlines():
        sides = line.split("\t")
        yield sides[source], sides[1 - source]


def main() -> None:
    """What is asked for, to the file."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path, help="train.tsv, dev.tsv and test.tsv, English and Spanish")
    parser.add_argument("source", choices=COLUMNS)
    parser.add_argument("target", choices=COLUMNS)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--measure", choices=("hasty", "bare", "shouted", "joined", "named"), help="of dev instead"
    )
    args = parser.parse_args()
    if args.source == args.target:
        parser.error("from one language to the other")
    source, rng = COLUMNS.index(args.source), random.Random(1)
    if args.measure:
        found = list(measured(list(read(args.folder / "dev.tsv", source)), args.measure, rng))
    else:
        found = list(learned(args.folder, source, rng))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("".join(lines(found, source)), "utf-8")
    print(f"{args.out}: {len(found):,} pairs")


def learned(folder: Path, source: int, rng: random.Random) -> Iterator[Pair]:
    """What is to be learned from beside `train.tsv`, in no order; nothing that shares a side with dev or test."""
    kept_back = (
        side for name in ("dev", "test") for pair in read(folder / f"{name}.tsv", 0) for side in pair
    )
    known = set(map(words, kept_back))
    pairs = list(read(folder / "train.tsv", source))
    found = [*phrases(known, source, rng), *varied(pairs, rng)]
    rng.shuffle(found)
    return (pair for pair in found if known.isdisjoint(map(words, pair)))


def lines(pairs: Iterable[Pair], source: int) -> Iterator[str]:
    """Of the file, English first."""
    for pair in pairs:
        yield "\t".join(pair if source == 0 else pair[::-1]) + "\n"


if __name__ == "__main__":
    main()
