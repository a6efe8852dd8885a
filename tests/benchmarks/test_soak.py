"""What a soak tells from a growing server; and a short soak, which fails where something is left over."""

import json
from pathlib import Path

import pytest

from benchmarks import soak
from benchmarks.soak_samples import BOUNDS, LEFT, Sample, Trend, grown, left_over, trends
from benchmarks.soak_uses import Users
from seqserve.v1 import model_pb2
from service.client import AsyncClient
from tests.fakes.toy_server import serve_toys

ROOT = Path(__file__).resolve().parents[2]


def held(number: int, **more: float) -> Sample:
    """A sample of a server that holds the same all the time, but for some noise."""
    noise = (number * 7 % 5 - 2) / 2
    return dict.fromkeys(BOUNDS, 100.0 + noise) | more


def test_what_stays_is_flat() -> None:
    assert grown(trends([held(number) for number in range(300)])) == []


@pytest.mark.parametrize("name", BOUNDS)
def test_what_grows_is_named(name: str) -> None:
    slope = max(BOUNDS[name][0], BOUNDS[name][1] * 100) / 50
    samples = [held(number, **{name: 100 + slope * number}) for number in range(300)]
    assert grown(trends(samples)) == [name]


def test_what_grows_only_while_it_warms_up_is_flat() -> None:
    samples = [held(number, **{"memory, MiB": min(200.0, 100 + 2 * number)}) for number in range(300)]
    assert grown(trends(samples)) == []


def test_an_error_is_told_with_the_growth() -> None:
    trend = Trend.of([number % 2 * 50 for number in range(100)])
    assert abs(trend.grown) <= 1
    noisy = Trend.of([(number // 10 % 2) * 50.0 for number in range(100)])
    assert noisy.error > 10


def test_what_nobody_uses_any_more_is_told_of() -> None:
    nothing = dict.fromkeys(BOUNDS, 0.0)
    assert left_over(nothing) == []
    assert left_over(nothing | {"slots": 1.0, "tasks": LEFT["tasks"] + 1.0}) == ["slots: 1", "tasks: 41"]


@pytest.mark.slow
def test_a_short_soak_is_flat_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends the command where it is not."""
    monkeypatch.chdir(ROOT)
    out, picture = tmp_path / "found.json", tmp_path / "curves.png"
    soak.main(minutes=0.25, out=out, picture=picture)
    samples = json.loads(out.read_text("utf-8"))["samples"]
    assert max(sample["calls"] for sample in samples) > 0
    assert max(sample["sessions"] for sample in samples) > 0
    assert picture.read_bytes().startswith(b"\x89PNG")


async def test_a_model_that_could_not_be_loaded_again_is_loaded_by_the_next_round(tmp_path: Path) -> None:
    """Else one refusal in a burst makes all later rounds fail, and a soak of loading is none."""
    async with (
        serve_toys(tmp_path, server={"admin": True}) as toys,
        AsyncClient(toys.server.address) as client,
    ):
        users = Users(toys.server.address, "toy-es-en", "toy-intents", "toy-intents", gone_s=0.1)
        users.client = client
        await toys.models.UnloadModel(model_pb2.UnloadModelRequest(name="toy-intents", version="1"))
        await users.models()
        assert "toy-intents/1" in toys.server.registry.labels()


def test_what_was_refused_more_often_than_not_was_hardly_tried() -> None:
    users = Users("127.0.0.1:1", "translator", "classifier", "spare")
    users.num_done.update(
        {"texts": 10, "bursts": 10, "models loaded and unloaded": 98, "refused requests": 9}
    )
    users.num_well.update({"texts": 10, "bursts": 5, "models loaded and unloaded": 22})
    assert users.hardly_done() == ["models loaded and unloaded: 76 of 98 rounds were refused"]
