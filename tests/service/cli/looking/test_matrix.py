import numpy as np
import pytest

from service.cli.looking.matrix import SHARES, SIGNS, Matrix, colours
from service.cli.looking.terminal import lines

VALUES = np.array([[0.0, 0.5, 1.0], [1.0, 0.0, 0.25]])


def matrix(signed: bool = False, columns: tuple[str, ...] = ("a", "bc", "d")) -> Matrix:
    return Matrix("what it is", VALUES * 2 - 1 if signed else VALUES, ("one", "two"), columns, signed)


@pytest.mark.parametrize(("signed", "stops"), [(False, SHARES), (True, SIGNS)])
def test_colours_begin_and_end_with_the_first_and_the_last_and_stay_within_bounds(
    signed: bool, stops: tuple[tuple[int, int, int], ...]
) -> None:
    colour = colours(signed)
    assert (colour(0.0), colour(0.5), colour(1.0)) == (stops[0], stops[2], stops[-1])
    assert colour(-3.0) == stops[0]
    assert all(0 <= part <= 255 for share in np.linspace(0, 1, 101) for part in colour(float(share)))


def test_what_a_cell_holds_is_drawn_around_zero_as_far_as_it_reaches() -> None:
    cells = Matrix("c", np.array([[-4.0, 0.0, 2.0]]), ("0",), ("a", "b", "c"), signed=True)
    assert cells.shares.tolist() == [[0.0, 0.5, 0.75]]


def test_without_colours_a_matrix_is_shaded_and_its_columns_are_named_upright() -> None:
    assert list(lines(matrix(), 80, colour=False)) == [
        "what it is",
        "      b",
        "    a c d",
        "one   ++@@",
        "two @@  ::",
        "",
    ]


def test_signs_are_shaded_by_how_far_they_are_from_zero() -> None:
    assert list(lines(matrix(signed=True), 80, colour=False))[3:5] == ["one @@  @@", "two @@@@++"]


def test_on_a_terminal_every_cell_has_its_colour() -> None:
    first = list(lines(matrix(), 80, colour=True))[3]
    assert first.count("\x1b[48;2;") == 3
    assert "\x1b[48;2;253;231;37m  \x1b[0m" in first


def test_a_matrix_that_is_too_wide_is_drawn_in_parts() -> None:
    drawn = list(lines(matrix(), 4 + 2 * 2, colour=False))
    assert drawn == [
        "what it is",
        "      b",
        "    a c",
        "one   ++",
        "two @@",
        "",
        "    d",
        "one @@",
        "two ::",
        "",
    ]
    assert max(map(len, drawn[1:])) <= 8


def test_long_names_are_cut() -> None:
    drawn = list(lines(Matrix("t", np.zeros((1, 1)), ("x" * 40,), ("y" * 40,)), 80, colour=False))
    assert max(map(len, drawn)) <= 20
    assert len(drawn) == 1 + 16 + 1 + 1
