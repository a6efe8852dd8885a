import numpy as np
import pytest

from service.config import LimitSettings
from service.errors import InvalidInput
from service.registry import Served
from service.tasks.intake import Given, NamedArrays, Readings, Sound, TextIntake, content_of

OTHER_INPUT: list[Given] = [
    Readings(np.zeros((1, 2), np.float32)),
    Sound(np.zeros(2, np.int16)),
    NamedArrays({"x": np.zeros(1, np.float32)}),
]


@pytest.mark.parametrize("given", OTHER_INPUT)
async def test_a_model_of_text_says_what_it_reads(translator: Served, given: Given) -> None:
    intake = TextIntake(translator.bundle, LimitSettings(), None)
    with pytest.raises(InvalidInput, match="it reads text or token_ids"):
        await intake.take(given, ends=False)


def test_inputs_are_told_apart_by_what_they_hold() -> None:
    contents = [content_of(given) for given in ("a", "b", [4], None, *OTHER_INPUT)]
    contents += [content_of(Readings(np.zeros((2, 1), np.float32))), content_of(Sound(np.ones(2, np.int16)))]
    assert len({repr(content) for content in contents}) == len(contents)
