from __future__ import annotations

import io
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odbench.dataset.tfrecord import read_records, write_record, write_shards
from odbench.errors import DatasetError

FILES = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def framed(*records: bytes) -> bytes:
    buffer = io.BytesIO()
    for record in records:
        write_record(buffer, record)
    return buffer.getvalue()


def test_framing_of_a_known_record():
    """CRC-32C of eight zero bytes and of nothing are public check values; masked by hand."""

    def masked(crc: int) -> int:
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

    crc_of_eight_zeros, crc_of_nothing = 0x8C28B28A, 0
    expected = bytes(8) + struct.pack("<II", masked(crc_of_eight_zeros), masked(crc_of_nothing))
    assert framed(b"") == expected


@FILES
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_what_is_written_is_read_back(tmp_path, records):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(framed(*records))
    assert list(read_records(path)) == records


@FILES
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4), st.data())
def test_any_flipped_bit_is_found(tmp_path, records, data):
    damaged = bytearray(framed(*records))
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "a.tfrecord"
    path.write_bytes(damaged)
    with pytest.raises(DatasetError, match=r"a\.tfrecord: offset \d+: damaged record"):
        list(read_records(path))


@FILES
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4), st.data())
def test_a_file_cut_inside_a_record_is_found(tmp_path, records, data):
    whole = framed(*records)
    ends = {len(framed(*records[:n])) for n in range(len(records) + 1)}
    cut = data.draw(st.integers(0, len(whole)).filter(lambda n: n not in ends))
    path = tmp_path / "a.tfrecord"
    path.write_bytes(whole[:cut])
    with pytest.raises(DatasetError, match="ends inside a record"):
        list(read_records(path))


def test_damage_names_the_offset_of_its_record(tmp_path):
    path = tmp_path / "a.tfrecord"
    data = bytearray(framed(b"first", b"second"))
    data[-1] ^= 1
    path.write_bytes(data)
    records = read_records(path)
    assert next(records) == b"first"
    with pytest.raises(DatasetError) as raised:
        next(records)
    assert raised.value.where == f"{path}: offset {len(framed(b'first'))}"


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(DatasetError, match="No such file"):
        list(read_records(tmp_path / "none.tfrecord"))


@pytest.mark.parametrize(("count", "shards", "files"), [(10, 4, 4), (3, 8, 3), (1, 1, 1)])
def test_shards_hold_every_record_once_and_in_order(tmp_path, count, shards, files):
    records = [bytes([index]) * 5 for index in range(count)]
    paths = write_shards(tmp_path, "val", iter(records), count, shards)
    assert [path.name for path in paths] == [
        f"val-{index:05d}-of-{files:05d}.tfrecord" for index in range(files)
    ]
    per_file = [list(read_records(path)) for path in paths]
    assert [record for part in per_file for record in part] == records
    assert max(map(len, per_file)) - min(map(len, per_file)) <= 1


@pytest.mark.parametrize("there", [2, 4])
def test_another_number_of_records_than_was_said_is_an_error(tmp_path, there):
    with pytest.raises(DatasetError, match="changed while it was read"):
        write_shards(tmp_path, "train", [b"x"] * there, 3, 2)
