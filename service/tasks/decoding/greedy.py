"""The most probable token at every step."""

import numpy as np

from service.bundle.tokenizer import BOS, EOS
from service.step import Array, Arrays, Step
from service.tasks.decoding.hypothesis import Finish, Found, ScoredToken, normalized
from service.tasks.decoding.options import DecodingOptions
from service.tasks.jobs import Emit, Program

FIRST_TOKEN = np.array(BOS, dtype=np.int64)
_BEST = np.array(1, dtype=np.int64)
_BEST_TWO = np.array(2, dtype=np.int64)
"""Where the sentence may not end yet, the second best stands in for its end."""


def greedy_search(
    state: Arrays, context: Arrays, options: DecodingOptions, emit: Emit[ScoredToken]
) -> Program[Found]:
    """Choose the best token, emit it, go on. This runs for each token on the scheduler's thread: it does little."""
    tokens: list[ScoredToken] = []
    chosen: Array = FIRST_TOKEN
    total = 0.0
    for position in range(options.max_length):
        may_end = position >= options.min_length
        step = Step("step", {"token": chosen, "k": _BEST if may_end else _BEST_TWO}, state, context)
        (result,) = yield (step,)
        top, log_probs = result.outputs["top_tokens"], result.outputs["top_log_probs"]
        rank = 0 if may_end or top[0] != EOS else 1
        chosen = top[rank, ...]
        token = ScoredToken(int(chosen), float(log_probs[rank]))
        total += token.log_prob
        if token.id == EOS:
            return Found(tuple(tokens), normalized(total, position + 1, options.length_penalty), Finish.END)
        tokens.append(token)
        emit(token)
        state = {**state, **result.state}
    return Found(tuple(tokens), normalized(total, len(tokens), options.length_penalty), Finish.LENGTH)
