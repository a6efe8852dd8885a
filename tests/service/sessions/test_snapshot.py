"""Snapshots come back bit for bit, or are refused with the reason."""

import hashlib
import json
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from service.errors import SnapshotRefused
from service.sessions.snapshot import DTYPES, MAX_DEPTH, Snapshot, Written, check_fits, decode, encode

LSTM = {f"state/{name}{layer}": np.full(512, 0.5, np.float32) for name in "hc" for layer in (0, 1)}
ONE = Snapshot(
    session_id="S" * 24,
    owner="ann",
    model="tatoeba-es-en",
    version="1",
    manifest_hash="ab" * 32,
    epoch=3,
    created_at=1_700_000_000.25,
    expires_at=1_700_000_300.25,
    facts={"turn": 4, "pending": "café", "log": [{"turn": 3, "kind": "feed"}], "score": -0.0},
    arrays={"state/h": np.array([1, np.nan, -0.0], np.float32), "ids": np.array([7], np.int64)},
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
arrays = st.sampled_from([np.dtype(code) for code in DTYPES.values()]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)
snapshots = st.builds(
    Snapshot,
    session_id=texts,
    owner=texts,
    model=texts,
    version=texts,
    manifest_hash=texts,
    epoch=st.integers(0, 2**53),
    created_at=st.floats(0, 1e11),
    expires_at=st.floats(0, 1e11),
    facts=st.dictionaries(texts, json_values, max_size=4),
    arrays=st.dictionaries(texts, arrays, max_size=4),
)


def assert_same(one: Snapshot, other: Snapshot) -> None:
    for name in Snapshot.__dataclass_fields__:
        if name != "arrays":
            assert repr(getattr(one, name)) == repr(getattr(other, name)) or name == "facts"
    assert json.dumps(one.facts, sort_keys=True) == json.dumps(other.facts, sort_keys=True)
    assert list(one.arrays) == list(other.arrays)
    for a, b in zip(one.arrays.values(), other.arrays.values(), strict=True):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


@given(snapshots)
def test_a_snapshot_comes_back_bit_for_bit(snapshot: Snapshot) -> None:
    assert_same(decode(encode(snapshot)), snapshot)


@given(snapshots)
def test_the_same_snapshot_is_the_same_bytes(snapshot: Snapshot) -> None:
    assert encode(decode(encode(snapshot))) == encode(snapshot)


def test_arrays_that_are_views_or_of_the_other_byte_order_come_back_equal() -> None:
    grid = np.arange(12, dtype=np.float32).reshape(3, 4)
    back = decode(
        encode(replace(ONE, arrays={"t": grid.T, "every2": grid[:, ::2], "big": grid.astype(">f4")}))
    )
    for name, expected in {"t": grid.T, "every2": grid[:, ::2], "big": grid}.items():
        np.testing.assert_array_equal(back.arrays[name], expected)
        assert back.arrays[name].dtype == np.float32


def test_decoded_arrays_belong_to_the_session_alone() -> None:
    data = encode(ONE)
    array = decode(data).arrays["state/h"]
    array[0] = 9
    assert array.base is None or array.base.base is None
    assert encode(decode(data)) == data


def test_a_snapshot_is_little_larger_than_its_arrays() -> None:
    data = encode(replace(ONE, arrays=LSTM))
    assert len(data) - 4 * 512 * 4 <= 1024


def test_every_flipped_bit_is_refused() -> None:
    data = encode(ONE)
    for at in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(SnapshotRefused):
            decode(bytes(flipped))


def test_every_truncation_and_every_addition_is_refused() -> None:
    data = encode(ONE)
    for size in range(len(data)):
        with pytest.raises(SnapshotRefused):
            decode(data[:size])
    for more in (b"\0", data):
        with pytest.raises(SnapshotRefused):
            decode(data + more)


@given(st.binary(max_size=200), st.booleans())
def test_any_other_bytes_are_refused(noise: bytes, framed: bool) -> None:
    data = with_checksum(struct.pack("<4sHI", b"SQSN", 1, len(noise)) + noise) if framed else noise
    with pytest.raises(SnapshotRefused):
        decode(data)


def test_a_newer_format_says_to_upgrade() -> None:
    data = encode(ONE)
    with pytest.raises(SnapshotRefused, match=r"format 2.*upgrade"):
        decode(with_checksum(data[:4] + struct.pack("<H", 2) + data[6:-32]))
    with pytest.raises(SnapshotRefused, match="format 0"):
        decode(with_checksum(data[:4] + struct.pack("<H", 0) + data[6:-32]))


HEADER: dict[str, Any] = {
    "session_id": "s",
    "owner": "o",
    "model": ["m", "1", "h"],
    "epoch": 1,
    "created_at": 1.0,
    "expires_at": 2.0,
    "facts": {},
    "arrays": [["a", "float32", [2]]],
}


@pytest.mark.parametrize(
    "change",
    [
        {"arrays": [["a", "float32", [3]]]},
        {"arrays": [["a", "float32", [1]]]},
        {"arrays": [["a", "float32", [-2]]]},
        {"arrays": [["a", "float32", [True]]]},
        {"arrays": [["a", "float32", [2**62, 2**62]]]},
        {"arrays": [["a", "float32", [1] * 40]]},
        {"arrays": [["a", "float32", 2]]},
        {"arrays": [["a", "object", [1]]]},
        {"arrays": [["a", "|O", [1]]]},
        {"arrays": [["a", ["float32"], [2]]]},
        {"arrays": [["a", "float32", [1]], ["a", "float32", [1]]]},
        {"arrays": [[1, "float32", [2]]]},
        {"arrays": [["a", "float32"]]},
        {"arrays": [["b" + str(n), "float32", [0]] for n in range(5000)]},
        {"arrays": 3},
        {"epoch": 1.5},
        {"epoch": True},
        {"owner": None},
        {"model": ["m", "1"]},
        {"facts": []},
        {"created_at": "now"},
        {"what nobody knows": 1},
    ],
)
def test_a_header_that_makes_no_sense_is_refused_though_its_checksum_fits(change: dict[str, Any]) -> None:
    assert decode(with_header(HEADER)).session_id == "s"
    with pytest.raises(SnapshotRefused):
        decode(with_header({**HEADER, **change}))


def test_a_missing_entry_is_refused() -> None:
    for name in HEADER:
        with pytest.raises(SnapshotRefused):
            decode(with_header({key: value for key, value in HEADER.items() if key != name}))


@pytest.mark.parametrize("before", ["", "\\", '"', '\\"', '"\\', "\\\\"])
def test_nesting_without_end_is_refused_before_it_is_parsed(before: str) -> None:
    """Whatever text stands before it: its quotes and backslashes do not hide what comes after."""
    deep = b'{"before":%s,"facts":' % json.dumps(before).encode() + b"[" * 100_000
    with pytest.raises(SnapshotRefused, match="nested"):
        decode(with_checksum(struct.pack("<4sHI", b"SQSN", 1, len(deep)) + deep))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_nesting_is_not_hidden_by_another_encoding(encoding: str) -> None:
    """Of U+2201 one byte is a quote in ASCII, after which brackets would be taken for text."""
    deep = ('["\u2201",' + "[" * 100_000).encode(encoding)
    with pytest.raises(SnapshotRefused, match="not JSON"):
        decode(with_checksum(struct.pack("<4sHI", b"SQSN", 1, len(deep)) + deep))


def test_brackets_within_texts_are_no_nesting() -> None:
    snapshot = replace(ONE, facts={"text": '[{"\\' * 200})
    assert decode(encode(snapshot)).facts == snapshot.facts


def test_what_is_encoded_can_be_decoded_and_what_cannot_is_refused_when_encoding() -> None:
    nested: list[Any] = []
    for _ in range(MAX_DEPTH):
        nested = [nested]
    with pytest.raises(ValueError, match="nested"):
        encode(replace(ONE, facts={"deep": nested}))
    for facts in ({"x": float("nan")}, {"x": float("inf")}, {"x": "\ud800"}):
        with pytest.raises(ValueError, match=r"."):
            encode(replace(ONE, facts=facts))
    with pytest.raises(ValueError, match="cannot hold"):
        encode(replace(ONE, arrays={"o": np.array([object()])}))


@given(snapshots, st.data())
def test_facts_that_are_written_already_give_the_same_bytes(snapshot: Snapshot, data: st.DataObject) -> None:
    written = {
        name: Written.of(fact) if data.draw(st.booleans()) else fact for name, fact in snapshot.facts.items()
    }
    assert encode(replace(snapshot, facts=written)) == encode(snapshot)
    listed = Written.list_of([Written.of(fact) for fact in snapshot.facts.values()])
    assert listed == Written.of(list(snapshot.facts.values()))


def test_what_is_written_already_is_refused_as_well_when_it_is_too_deep() -> None:
    deep: Written = Written.of(1)
    for _ in range(MAX_DEPTH):
        deep = Written.list_of([deep])
    with pytest.raises(ValueError, match="nested"):
        encode(replace(ONE, facts={"deep": deep}))


def test_a_snapshot_fits_its_own_session_and_model_version_only() -> None:
    own = {
        "session_id": ONE.session_id,
        "owner": "ann",
        "model": "tatoeba-es-en",
        "version": "1",
        "manifest_hash": "ab" * 32,
    }
    check_fits(ONE, **own)
    for name, reason in (
        ("session_id", "another session"),
        ("owner", "another session"),
        ("model", "tatoeba-es-en/1, not of"),
        ("version", "tatoeba-es-en/1, not of"),
        ("manifest_hash", "another build"),
    ):
        with pytest.raises(SnapshotRefused, match=reason):
            check_fits(ONE, **{**own, name: "2"})


def with_header(header: dict[str, Any]) -> bytes:
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    return with_checksum(struct.pack("<4sHI", b"SQSN", 1, len(text)) + text + bytes(8))


def with_checksum(data: bytes) -> bytes:
    return data + hashlib.blake2b(data, digest_size=32).digest()
