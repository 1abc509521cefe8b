"""What waits for a server on disk: every value comes back, a torn end is dropped, damage is refused."""

import json
import math
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtlplat.errors import StoreError
from qtlplat.store.core.location import StoreLocation, find_store
from qtlplat.store.write.operations import Operation
from qtlplat.store.write.spool import Spool, from_line, spool_of, spools, to_line

RUN = "0123456789abcdef"


def operation(number: int = 1, **values: object) -> Operation:
    return Operation("add_epochs", RUN, 2, number, "2026-01-01T00:00:00.000000+00:00", values)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return spool_of(StoreLocation(tmp_path / "store.db", tmp_path / "store.files", ""), RUN, 2)


def bits(value: float) -> bytes:
    return struct.pack(">d", value)


@given(st.floats())
def test_every_float_comes_back_bit_for_bit(value: float) -> None:
    back = from_line(to_line(operation(value=value, inside=[{"deep": value}]))[:-1])
    assert back is not None
    for found in (back.values["value"], back.values["inside"][0]["deep"]):
        assert bits(found) == bits(value) or (math.isnan(found) and math.isnan(value))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_every_value_comes_back_as_one_line(values: dict[str, object]) -> None:
    line = to_line(operation(**{f"v{name}": value for name, value in values.items()}))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    json.loads(line.partition(b" ")[2], parse_constant=pytest.fail)  # strict: no bare NaN, but in a text
    back = from_line(line[:-1])
    assert back is not None
    assert back.values == {f"v{name}": value for name, value in values.items()}


def test_what_json_has_no_form_for_is_refused_and_keeps_nothing(spool: Spool) -> None:
    for value in (object(), {"$number": "NaN"}, b"bytes"):
        with pytest.raises(StoreError, match="cannot be stored"):
            spool.append(operation(value=value))
    assert not spool.path.exists()


def test_operations_come_back_in_order(spool: Spool) -> None:
    kept = [operation(number, n=number) for number in range(1, 6)]
    for one in kept:
        spool.append(one)
    assert spool.read() == (kept, False)
    assert (spool.run, spool.owner) == (RUN, 2)
    location = StoreLocation(spool.path.parent.with_name("store.db"), spool.path.parent, "")
    (spool.path.parent / "something.else").touch()
    assert spools(location) == [spool]
    spool.remove()
    assert spools(location) == []


@pytest.mark.parametrize("cut", [1, 2, 10, 40])
def test_a_last_line_that_was_cut_off_is_dropped(spool: Spool, cut: int) -> None:
    kept = [operation(number) for number in (1, 2, 3)]
    for one in kept:
        spool.append(one)
    whole = spool.path.read_bytes()
    spool.path.write_bytes(whole[:-cut])
    assert spool.read() == (kept[:2], True)
    spool.path.write_bytes(whole[: -cut - 1] + bytes(cut) + b"\n")  # as a disk may leave it that lost its power
    assert spool.read() == (kept[:2], True)


def test_every_flipped_bit_of_a_line_is_found(spool: Spool) -> None:
    line = to_line(operation(value=0.5))[:-1]
    for place in range(len(line)):
        for bit in range(8):
            changed = bytearray(line)
            changed[place] ^= 1 << bit
            assert from_line(bytes(changed)) is None


def test_damage_before_the_end_is_refused_with_its_line(spool: Spool) -> None:
    for number in (1, 2, 3):
        spool.append(operation(number))
    lines = spool.path.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b'"number":2', b'"number":7')
    spool.path.write_bytes(b"\n".join(lines))
    with pytest.raises(StoreError, match="damaged") as caught:
        spool.read()
    assert caught.value.where == f"{spool.path}:2"


def test_a_disk_that_takes_no_more_leaves_what_was_there(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.append(operation(1))
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
    with pytest.raises(StoreError, match="cannot be kept: No space left on device") as caught:
        spool.append(operation(2))
    assert "free some space" in caught.value.fix
    monkeypatch.setattr(os, "write", write)
    spool.append(operation(3))
    found, torn = spool.read()
    assert ([one.number for one in found], torn) == ([1, 3], False)


def test_a_store_in_a_file_has_no_spools(tmp_path: Path) -> None:
    assert spools(find_store(str(tmp_path / "s.db"))) == []
