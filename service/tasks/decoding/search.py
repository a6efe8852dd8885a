"""The choice between the searches."""

from service.step import Arrays
from service.tasks.decoding.beam import beam_search
from service.tasks.decoding.greedy import greedy_search
from service.tasks.decoding.hypothesis import Found, ScoredToken
from service.tasks.decoding.options import DecodingOptions
from service.tasks.jobs import Emit, Program


def search(
    state: Arrays, context: Arrays, options: DecodingOptions, emit: Emit[ScoredToken]
) -> Program[list[Found]]:
    """The best outputs, best first.

    A beam of 1 emits each token as it is chosen, a larger one those of the best output when the search has ended.
    """
    if options.beam_size == 1:
        return [(yield from greedy_search(state, context, options, emit))]
    found = yield from beam_search(state, context, options)
    for token in found[0].tokens:
        emit(token)
    return found
