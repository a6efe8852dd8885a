"""Summaries: some models leave words out, others write (See et al. 2017) as translators do."""

from service.config import LimitSettings
from service.registry import Served
from service.tasks.delete import Deleter
from service.tasks.kind import Kind
from service.tasks.translate import Translator


def deletes(served: Served) -> bool:
    """Whether the model leaves words out; else it writes."""
    return "tag" in served.manifest.graphs


def summarizer(served: Served, limits: LimitSettings) -> Kind:
    """The kind of a model that summarizes, one way or the other."""
    return Deleter(served, limits) if deletes(served) else Translator(served, limits)
