"""The export of models that write summaries."""

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

import numpy as np

from service.bundle.tokenizer import EOS
from training.config import SummaryRecipe
from training.data.readers import read_dev, read_pairs
from training.data.rouge import score_rouge
from training.export.arithmetic import Arithmetic
from training.export.check import Array
from training.export.check_seq2seq import Seq2SeqCheck
from training.export.copying import CopyingGraphs
from training.export.dev import Dev, DevBatch
from training.export.tasks.base import TWO_WAY, Export, Facts, Graphs, Runners, reads_on
from training.export.tasks.translate import greedy, until_end
from training.models.copying import CopyingSeq2Seq


class SummaryExport(Export[SummaryRecipe, CopyingSeq2Seq]):
    """Two graphs; what counts on dev is the ROUGE-L of greedy summaries."""

    score_name = "ROUGE-L"

    def graphs(self, numbers: Arithmetic) -> Graphs:
        return CopyingGraphs(self.run.model, self.run.recipe.model, numbers).graphs()

    def check(self, runners: Runners, tolerance: float | None) -> float:
        return Seq2SeqCheck(self.run.model, runners, tolerance).run()

    def facts(self, graphs: Graphs) -> Facts:
        language, why_not = self.run.recipe.source, "" if reads_on(graphs, "encode") else TWO_WAY
        return Facts("summarize", why_not, language, language, evaluate_options="--beam 4")

    def dev(self, root: Path) -> Dev:
        data = self.run.recipe.data
        dev = read_dev(
            lambda files: read_pairs(root, files, data, data.text, data.summary), data, attrgetter("source")
        )
        return Dev.spaced(dev, self.run.recipe.export.gate_examples)

    def row(self, given: str) -> Array:
        return np.array([*self.run.vocabulary.tokenizer.encode(given), EOS])

    def answer(self, runners: Runners, batch: DevBatch) -> list[str]:
        written = greedy(runners, batch)
        return [self.run.vocabulary.tokenizer.decode(until_end(row.tolist())) for row in written]

    def score(self, answers: Sequence[str], references: Sequence[str]) -> float:
        return score_rouge(answers, references).longest
