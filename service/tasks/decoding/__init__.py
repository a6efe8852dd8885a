"""Writing text token by token: options, the two searches, and what they find."""

from service.tasks.decoding.beam import beam_search
from service.tasks.decoding.greedy import greedy_search
from service.tasks.decoding.hypothesis import Finish, Found, ScoredToken
from service.tasks.decoding.options import DecodingOptions
from service.tasks.decoding.search import search

__all__ = ["DecodingOptions", "Finish", "Found", "ScoredToken", "beam_search", "greedy_search", "search"]
