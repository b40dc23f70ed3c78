"""Reading what a checkpoint holds, without TensorFlow."""

import pytest
from checkpoint_builders import SSD, write_checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odbench.errors import InputError
from odbench.pipeline.bundle import read_bundle

TENSORS = {SSD: (3, 3, 8, 16), "model/_feature_extractor/bias": (16,), "step": ()}


@pytest.fixture
def prefix(tmp_path):
    return write_checkpoint(tmp_path / "ckpt-7", TENSORS)


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_names_and_shapes(tmp_path, blocks):
    bundle = read_bundle(write_checkpoint(tmp_path / "ckpt-7", TENSORS, blocks=blocks))
    shapes = {name: tensor.shape for name, tensor in bundle.tensors.items()}
    assert shapes == {**TENSORS, "_CHECKPOINTABLE_OBJECT_GRAPH": ()}
    assert sum(tensor.size for tensor in bundle.tensors.values()) == 4 * (3 * 3 * 8 * 16 + 16 + 2)
    assert bundle.object_based


def test_identity_is_that_of_the_contents(tmp_path, prefix):
    same = write_checkpoint(tmp_path / "elsewhere" / "ckpt-1", TENSORS)
    other = write_checkpoint(tmp_path / "other" / "ckpt-7", {**TENSORS, "more": (1,)})
    assert read_bundle(same).digest == read_bundle(prefix).digest != read_bundle(other).digest


def test_a_data_file_that_was_cut_off(prefix):
    data = prefix.with_name("ckpt-7.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(InputError, match="cut off") as caught:
        read_bundle(prefix)
    assert caught.value.where == str(data)
    assert caught.value.value == "4,679 bytes"
    assert "4,680 bytes" in caught.value.allowed


def test_a_data_file_that_is_missing(prefix):
    prefix.with_name("ckpt-7.data-00000-of-00001").unlink()
    with pytest.raises(InputError, match="data file is missing"):
        read_bundle(prefix)


def test_no_index(tmp_path):
    with pytest.raises(InputError, match="cannot read it"):
        read_bundle(tmp_path / "ckpt-1")


@given(data=st.data())
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_index_is_read_or_refused_clearly(tmp_path, data):
    prefix = write_checkpoint(tmp_path / "ckpt-7", TENSORS)
    index = prefix.with_name("ckpt-7.index")
    raw = bytearray(index.read_bytes())
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    for _ in range(data.draw(st.integers(0, 4)) if raw else 0):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    index.write_bytes(raw)
    try:
        read_bundle(prefix)
    except InputError as error:
        assert error.where


def test_any_other_file_is_no_index(tmp_path):
    (tmp_path / "ckpt-1.index").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="not the index of a TensorFlow checkpoint"):
        read_bundle(tmp_path / "ckpt-1")
