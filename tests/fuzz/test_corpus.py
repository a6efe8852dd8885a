"""What fuzzing has found, and what it keeps to go on from, is read again; and what is good, damaged in any way."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import FOLDER, FOUND, kept
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

MAX_CORPUS_BYTES = 1_000_000


@pytest.fixture(params=[name for name in TARGETS if name != "calls"])  # of which test_calls looks
def target(request: pytest.FixtureRequest) -> Target:
    return TARGETS[request.param]()


def test_what_is_good_is_read(target: Target) -> None:
    read = [seed for seed in target.seeds() if not refuses(target, seed)]
    assert read, "a target that refuses all its seeds looks at nothing"


def test_every_file_of_the_corpus_is_read_or_refused(target: Target) -> None:
    files = kept(target.name)
    assert files, "every target has found something to keep"
    for file in files:
        target(file.read_bytes())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_damaged_is_read_or_refused(target: Target, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(list(target.seeds())))
    at = data.draw(st.integers(0, len(seed)))
    size = data.draw(st.integers(0, 16))
    words = st.sampled_from(target.words) if target.words else st.nothing()
    put_in = data.draw(st.binary(max_size=8) | words)
    target(seed[:at] + put_in + seed[at + size :])


def test_the_corpus_is_small_and_all_of_it_belongs_to_a_target() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MAX_CORPUS_BYTES
    assert {path.parent.name for path in files} <= set(TARGETS)


def test_findings_stand_in_the_table_of_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "threat-model.md").read_text(encoding="utf-8")
    for path in FOLDER.rglob(f"{FOUND}*"):
        assert f"`{path.parent.name}/{path.name}`" in page


def refuses(target: Target, data: bytes) -> bool:
    try:
        target.run(data)
    except target.refusals:
        return True
    return False
