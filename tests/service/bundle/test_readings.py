import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle.columns import Columns
from service.bundle.features import ReadingsSpec, features_json, parse_features
from service.bundle.scaling import FARTHEST, SETTLED, Scaler
from service.errors import InvalidInput

RUNNING = ReadingsSpec(names=("a", "b"), scaling="running")
RECENT = ReadingsSpec(names=("a", "b"), scaling="recent", half_lives=(1, 5), scale=(2.0, 4.0, 1.0, 1.0))
FIXED = ReadingsSpec(names=("a", "b"), mean=(1.0, 10.0), scale=(2.0, 5.0))


@given(
    num=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 40), max_size=6),
    spec=st.sampled_from([RUNNING, FIXED, RECENT]),
)
def test_a_series_is_scaled_the_same_however_it_is_cut(num: int, cuts: list[int], spec: ReadingsSpec) -> None:
    values = np.random.default_rng(num).normal(100, 20, (num, 2)).astype(np.float32)
    whole, pending, parts = Scaler(spec).scale(values), None, []
    for start, end in itertools.pairwise([0, *sorted(min(cut, num) for cut in cuts), num]):
        scaler = Scaler(spec, pending)
        parts.append(scaler.scale(values[start:end]))
        pending = scaler.pending()
    for field in whole._fields:
        joined = np.concatenate([getattr(part, field) for part in parts])
        assert np.array_equal(joined, getattr(whole, field)), field


def test_a_fixed_scale_is_that_of_the_training_data() -> None:
    scaled = Scaler(FIXED).scale(np.array([[3.0, 0.0]]))
    assert scaled.values.tolist() == scaled.before.tolist() == [[1.0, -2.0]]
    assert (scaled.values * scaled.deviation + scaled.mean).tolist() == [[3.0, 0.0]]


def test_a_running_scale_is_that_of_all_readings_so_far() -> None:
    values = np.random.default_rng(0).normal(50, 3, (30, 2))
    scaled = Scaler(RUNNING).scale(values)
    for at in range(1, 30):
        mean, deviation = values[: at + 1].mean(axis=0), values[: at + 1].std(axis=0)
        assert np.allclose(scaled.values[at], (values[at] - mean) / deviation, atol=1e-5)
        mean, deviation = values[:at].mean(axis=0), np.maximum(values[:at].std(axis=0), 1e-3 * 50)
        expected = (values[at] - mean) / deviation if at >= SETTLED else scaled.values[at]
        assert np.allclose(scaled.before[at], expected, atol=1e-3)


def test_a_recent_scale_measures_how_far_readings_are_from_means_that_forget_half() -> None:
    scaled = Scaler(RECENT).scale(np.array([[10.0, 0.0], [18.0, 0.0], [18.0, 0.0]]))
    # With a half-life of one reading the mean goes half of the way: 10, 14, 16.
    assert scaled.values[:, 0].tolist() == [0.0, (18 - 14) / 2, (18 - 16) / 2]
    assert scaled.values[1, 2] == pytest.approx(8 * 0.5**0.2)
    assert not scaled.values[:, [1, 3]].any()
    assert (RECENT.reading_dim, RECENT.dim) == (2, 4)


def test_a_recent_scale_does_not_see_the_level() -> None:
    values = np.random.default_rng(0).normal(0, 3, (30, 2))
    assert np.allclose(
        Scaler(RECENT).scale(values + 1000).values, Scaler(RECENT).scale(values).values, atol=1e-4
    )


def test_a_series_that_never_moved_and_then_jumps_is_far_but_finite() -> None:
    scaled = Scaler(RUNNING).scale(np.array([[5.0, 0.0]] * 10 + [[6.0, 1e9]]))
    assert np.isfinite(scaled.values).all()
    assert scaled.before[-1].tolist() == [FARTHEST, FARTHEST]


def test_features_are_written_and_read_alike() -> None:
    assert parse_features(features_json(FIXED)) == FIXED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"kind": "readings", "names": ["a"], "mean": [1, 2], "scale": [1]}', "a number for each name"),
        ('{"kind": "readings", "names": ["a"], "mean": [1], "scale": [0]}', "greater than or equal to 0.0"),
        ('{"kind": "readings", "names": ["a"], "scaling": "recent", "scale": [1]}', "needs half_lives"),
        ('{"kind": "readings", "names": ["a"], "mean": [1], "scale": [1], "half_lives": [5]}', "half_lives"),
        (
            '{"kind": "readings", "names": ["a"], "scaling": "recent", "half_lives": [5, 9], "scale": [1]}',
            "a number for each name",
        ),
        (
            RECENT.model_dump_json().replace('"error_scale":[]', '"error_scale":[1,1,1,1]'),
            "a number for each name",
        ),
        ('{"kind": "smell"}', "smell"),
        ('{"kind": "readings", "names": ["a"], "mean": [1], "scale": [1], "more": 1}', "more"),
        ("{", "JSON"),
    ],
)
def test_wrong_features_are_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        parse_features(text)


def test_columns_are_found_by_name_in_any_order() -> None:
    columns, named = Columns.of('"when", "b" ,a', ("a", "b"))
    assert named
    assert columns.numbers("2015-02-02,2.5,1") == [1.0, 2.5]


def test_a_row_may_begin_with_its_number() -> None:
    columns, _ = Columns.of('"date","a","b"', ("a", "b"))
    assert columns.numbers('"140","2015-02-02",1,2') == [1.0, 2.0]
    with pytest.raises(InvalidInput, match="5 cells, expected 3"):
        columns.numbers("1,2,3,4,5")


def test_without_names_a_line_is_a_reading() -> None:
    columns, named = Columns.of("1.5, 2", ("a", "b"))
    assert (named, columns.numbers("1.5, 2")) == (False, [1.5, 2.0])


def test_what_is_no_number_is_named() -> None:
    columns, _ = Columns.of("a,b", ("a", "b"))
    for cell in ("", "n/a", "nan", "inf"):
        with pytest.raises(InvalidInput, match=f"b is '{cell}'; expected a number"):
            columns.numbers(f"1,{cell}")


def test_a_first_line_that_says_neither_is_refused_with_the_names() -> None:
    for line in ("", "c,d", "1,2,3"):
        with pytest.raises(InvalidInput, match="a, b among them"):
            Columns.of(line, ("a", "b"))
    with pytest.raises(InvalidInput, match="names no b; expected a, b"):
        Columns.of("a,c", ("a", "b"))
