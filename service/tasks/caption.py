"""Captions: a feature vector in, its description out; of whole vectors, and in a session that is fed one at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.bundle.scaling import Scaler
from service.bundle.tokenizer import BOS
from service.config import LimitSettings
from service.errors import InvalidInput, NotPossible
from service.registry import Served
from service.sessions import NOTHING_READ, Reading, Standing
from service.sessions.session import Pending
from service.step import Arrays
from service.tasks.decoding import DecodingOptions, Found, Plan, Search, new_search
from service.tasks.intake import Given, Readings, Taken
from service.tasks.jobs import Program, known, run_all
from service.tasks.outputs import Hypothesis, hypotheses_of
from service.tasks.reader import Reader
from service.tasks.said import NOTHING_SAID, Said
from service.tasks.signals import ReadingIntake, checked_series, scaled


@dataclass(frozen=True, slots=True)
class Caption:
    """The descriptions of one vector, best first."""

    hypotheses: tuple[Hypothesis, ...]


class VectorIntake(ReadingIntake):
    """One vector at a time."""

    async def take(self, given: Given, ends: bool) -> Taken:
        if isinstance(given, Readings):
            check_one(given, "feed.features")
        return await super().take(given, ends)


class Captioner:
    """Takes a vector in silence, and describes it."""

    max_inputs = 1

    def __init__(self, served: Served, limits: LimitSettings) -> None:
        self.served = served
        self.reader = _reader(served)

    def intake(self, pending: Pending | None) -> VectorIntake:
        return VectorIntake(self.served.bundle.readings, pending)

    def say(
        self, taken: Taken, outputs: Sequence[Arrays], reading: Reading, pending: Pending | None
    ) -> tuple[Said, Pending | None]:
        return NOTHING_SAID, pending

    def begin(self, standing: Standing, rest: Taken, plan: Plan) -> Program[Search]:
        """The search for the description of what was fed; nothing is held back of a vector."""
        return known(_search(self.reader, standing.reading, plan))

    def check_begun(self, standing: Standing, rest: Taken) -> None:
        """NotPossible where nothing was fed."""
        if standing.reading.num_tokens == 0:
            raise NotPossible("nothing was fed since the last output; feed a vector, then generate")

    def first(self, rest: Taken) -> int:
        """What every description begins with."""
        return BOS

    def wrote(
        self, standing: Standing, rest: Taken, search: Search, found: Sequence[Found]
    ) -> Program[Standing]:
        """Before the next vector."""
        return known(standing.answered(0, len(found[0].tokens)))


async def caption(
    served: Served, vectors: Sequence[Readings], fields: Sequence[str], options: DecodingOptions
) -> list[Caption]:
    """In the order of the vectors; all or none. `fields` name them in what is refused."""
    taken = []
    for vector, field in zip(vectors, fields, strict=True):
        check_one(vector, field)
        values = checked_series(vector, served.bundle.readings, field)
        taken.append(scaled(Scaler(served.bundle.readings), values))
    programs = [_caption(served, one, Plan.of(served.bundle, options)) for one in taken]
    found = await run_all(served.scheduler, programs)
    return [Caption(hypotheses_of(served.bundle.tokenizer, each)) for each in found]


def check_one(given: Readings, field: str) -> None:
    """InvalidInput for several vectors."""
    if len(given.values) > 1:
        raise InvalidInput(f"{field} has {len(given.values)} vectors; expected one", field=field)


def _caption(served: Served, taken: Taken, plan: Plan) -> Program[list[Found]]:
    reader = _reader(served)
    reading, _ = yield from reader.read(taken.array, NOTHING_READ)
    return (yield from _search(reader, reading, plan).program(None))


def _search(reader: Reader, reading: Reading, plan: Plan) -> Search:
    return new_search(reading.state, reading.context(reader.contexts), plan)


def _reader(served: Served) -> Reader:
    return Reader.of(served.manifest, "encode", "features")
