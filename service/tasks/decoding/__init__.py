"""Writing text token by token: options, the two searches, and what they find."""

from service.tasks.decoding.beam import BeamSearch
from service.tasks.decoding.greedy import GreedySearch
from service.tasks.decoding.hypothesis import Finish, Found, ScoredToken
from service.tasks.decoding.options import DecodingOptions
from service.tasks.decoding.plan import Plan
from service.tasks.decoding.search import Search, new_search, search_from

__all__ = [
    "BeamSearch",
    "DecodingOptions",
    "Finish",
    "Found",
    "GreedySearch",
    "Plan",
    "ScoredToken",
    "Search",
    "new_search",
    "search_from",
]
