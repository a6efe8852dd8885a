"""What is told with a token: what might have come instead, and what its step looked at."""

from service.bundle.tokenizer import BOS, PAD, UNK
from service.step import Arrays
from service.tasks.decoding.hypothesis import ScoredToken
from service.tasks.decoding.options import ATTENTION
from service.tasks.decoding.plan import Plan


def scored(plan: Plan, context: Arrays, token: int, log_prob: float, outputs: Arrays) -> ScoredToken:
    """A token with what was told with it; of padded outputs, what belongs to the source."""
    alternatives: tuple[tuple[int, float], ...] = ()
    if plan.num_told and outputs:
        ranked = zip(outputs[plan.wiring.choices].tolist(), outputs[plan.wiring.scores].tolist(), strict=True)
        others = [pair for pair in ranked if pair[0] not in (token, *_NEVER)]
        alternatives = tuple(others[: plan.options.num_alternatives])
    attention: tuple[float, ...] = ()
    if plan.options.return_attention or plan.options.replace_unknowns:
        length = max((array.shape[0] for array in context.values() if array.ndim), default=0)
        attention = tuple(outputs[ATTENTION][:length].tolist()) if outputs else ()
    return ScoredToken(token, log_prob, alternatives, attention)


_NEVER = (PAD, BOS, UNK)
"""No alternatives: they have no text."""
