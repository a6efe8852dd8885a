"""The export of models that describe feature vectors."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from service.bundle.features import ReadingsSpec
from service.bundle.scaling import Scaler
from training.config import CaptionRecipe
from training.data.readers.described import read_described
from training.data.scores import score_translations
from training.export.arithmetic import Arithmetic
from training.export.captioner import CaptionGraphs
from training.export.check import Array, Texts
from training.export.check_seq2seq import Seq2SeqCheck
from training.export.dev import Dev, DevBatch
from training.export.tasks.base import Export, Facts, Graphs, Runners
from training.export.tasks.translate import greedy, until_end
from training.models.captioner import Captioner


class CaptionCheck(Seq2SeqCheck):
    """The graphs against their model, vectors of very different size in one batch."""

    given = "features"

    def _inputs(self) -> Iterator[Texts]:
        rng = np.random.default_rng(0)
        dim = self._encode.spec.inputs[0].axes[-1]
        for batch in (1, 2, 6):
            sizes = 10.0 ** rng.integers(-1, 2, (batch, 1, 1))
            vectors = (sizes * rng.normal(size=(batch, 1, int(dim)))).astype(np.float32)
            yield Texts(vectors, np.ones(batch, np.int64))


class CaptionExport(Export[CaptionRecipe, Captioner]):
    """Two graphs; what counts on dev is the BLEU of greedy descriptions."""

    score_name = "BLEU"

    def graphs(self, numbers: Arithmetic) -> Graphs:
        return CaptionGraphs(self.run.model, self.run.recipe.model, numbers).graphs()

    def check(self, runners: Runners, tolerance: float | None) -> float:
        return CaptionCheck(self.run.model, runners, tolerance).run()

    def facts(self, graphs: Graphs) -> Facts:
        return Facts("caption", target_language=self.run.recipe.target)

    def dev(self, root: Path) -> Dev:
        data = self.run.recipe.data
        return Dev.spaced(read_described(root, data.dev, data), self.run.recipe.export.gate_examples)

    def row(self, given: Array) -> Array:
        spec = self.run.vocabulary.spec
        assert isinstance(spec, ReadingsSpec)
        return Scaler(spec).scale(given[None]).values

    def answer(self, runners: Runners, batch: DevBatch) -> list[str]:
        written = greedy(runners, batch, given="features")
        return [self.run.vocabulary.tokenizer.decode(until_end(row.tolist())) for row in written]

    def score(self, answers: Sequence[str], references: Sequence[str]) -> float:
        return score_translations(answers, references).score
