from typing import Any

import pytest

from service.bundle.manifest import Generation, Limits, Manifest
from service.errors import InvalidInput
from service.tasks.decoding import DecodingOptions

MANIFEST = Manifest(
    name="toy",
    version="1",
    task="translate",
    streams=True,
    graphs={},
    files={},
    generation=Generation(beam_size=4, length_penalty=0.5, max_length=256),
    limits=Limits(max_output_tokens=40),
)


def test_what_is_left_out_is_as_the_model_has_it_and_within_its_limits() -> None:
    assert DecodingOptions.of(MANIFEST) == DecodingOptions(4, 1, 0.5, 40, 0)


def test_what_is_given_is_kept() -> None:
    given = {"beam_size": 2, "num_hypotheses": 2, "length_penalty": 0.0, "max_length": 5, "min_length": 5}
    assert DecodingOptions.of(MANIFEST, **given) == DecodingOptions(2, 2, 0.0, 5, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "valid"),
    [
        ("beam_size", 0, "1 to 16"),
        ("beam_size", 10**6, "1 to 16"),
        ("beam_size", -1, "1 to 16"),
        ("num_hypotheses", 0, "1 to 4"),
        ("num_hypotheses", 5, "1 to 4"),
        ("length_penalty", float("nan"), "0 to 5"),
        ("length_penalty", float("inf"), "0 to 5"),
        ("length_penalty", -0.1, "0 to 5"),
        ("max_length", 0, "1 to 40"),
        ("max_length", 41, "1 to 40"),
        ("min_length", -1, "0 to 40"),
        ("min_length", 41, "0 to 40"),
    ],
)
def test_what_cannot_be_is_refused_with_the_field_and_what_it_may_be(
    field: str, value: Any, valid: str
) -> None:
    with pytest.raises(InvalidInput, match=valid) as refused:
        DecodingOptions.of(MANIFEST, field="options", **{field: value})
    assert refused.value.field == f"options.{field}"


def test_the_shortest_output_is_not_longer_than_the_longest() -> None:
    with pytest.raises(InvalidInput, match=r"0 to 3 \(max_length\), not 4"):
        DecodingOptions.of(MANIFEST, max_length=3, min_length=4)


def test_whoever_asks_for_what_only_draws_know_draws_from_all() -> None:
    for asked in ({"seed": 1}, {"temperature": 0.5}, {"sampling_topp": 0.5}):
        options = DecodingOptions.of(MANIFEST, **asked)
        assert (options.sampling_topk, options.beam_size, options.draws) == (0, 1, True)
    assert DecodingOptions.of(MANIFEST, seed=1, sampling_topk=1).beam_size == 4
    assert DecodingOptions.of(MANIFEST, seed=1, sampling_topk=5).sampling_topk == 5


def test_a_model_that_draws_by_itself_does_not_where_a_beam_is_asked_for() -> None:
    generation = Generation(sampling_topk=40, sampling_topp=0.9, temperature=0.7, repetition_penalty=1.2)
    manifest = MANIFEST.model_copy(update={"generation": generation})
    options = DecodingOptions.of(manifest)
    assert (options.sampling_topk, options.sampling_topp, options.temperature) == (40, 0.9, 0.7)
    assert options.repetition_penalty == 1.2
    assert DecodingOptions.of(manifest, temperature=2.0).sampling_topk == 40
    assert not DecodingOptions.of(manifest, beam_size=2).draws


def test_options_that_are_off_are_not_part_of_their_identity() -> None:
    """Or a turn that was begun under an older version would be another request now."""
    assert DecodingOptions(2, 2, 0.5, 9, 1).identity() == (2, 2, 0.5, 9, 1)
    stopping = DecodingOptions(2, 2, 0.5, 9, 1, stop=("a",))
    assert stopping.identity() == (2, 2, 0.5, 9, 1, ["stop", ("a",)])
