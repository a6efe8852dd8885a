import re

from service.cli.looking.surprise import END, heat_line
from service.client.results import Token


def grounds(*surprises: float) -> list[str]:
    line = heat_line([Token("x", 1, -surprise) for surprise in surprises])
    return re.findall(r"48;2;([\d;]+)m", line)


def test_the_less_a_token_was_expected_the_brighter_its_ground() -> None:
    sums = [sum(map(int, ground.split(";"))) for ground in grounds(0, 1, 3, 5, 8)]
    assert sums == sorted(set(sums))
    assert grounds(8) == grounds(50)


def test_line_ends_and_the_end_are_seen_and_no_colour_runs_over_a_line() -> None:
    first, second = heat_line([Token("\n", 1, -1.0), Token("", 2, -1.0)]).split("\n")
    assert first.endswith("⏎\x1b[0m")
    assert END in second
