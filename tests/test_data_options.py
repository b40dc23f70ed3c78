"""Errors of the sources, in the words of the command line."""

import dataclasses

import pytest

from odbench import data_options
from odbench.config.dataset_spec import DatasetSpec
from odbench.data_options import in_options
from odbench.errors import DatasetError


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("say which: dataset.kind=csv|voc", "say which: --format csv|voc"),
        ("name its folder: dataset.images_dir=PATH", "name its folder: --images PATH"),
        (
            "name other columns: dataset.csv_columns={filename: NAME, class: NAME}",
            "name other columns: --columns filename=NAME,class=NAME",
        ),
        (
            "name them: dataset.annotations={train: FILE, val: FILE} or {all: FILE}",
            "name them: --annotations train=FILE,val=FILE or all=FILE",
        ),
        ("another folder: paths.cache_dir=PATH", "another folder: ODBENCH_CACHE_DIR=PATH"),
        ("correct dataset.dir", "correct SOURCE"),
        ("see dataset.json, or a {brace}", "see dataset.json, or a {brace}"),
    ],
)
def test_fields_are_told_as_options(told, shown):
    error = in_options(DatasetError("wrong", where="dataset.split_file", value="x", fix=told))
    assert error.fix == shown
    assert str(error) == f"--split-file: wrong\n  value:   x\n  do:      {shown}"


def test_every_field_of_a_source_has_its_option():
    fields = {f"dataset.{field.name}" for field in dataclasses.fields(DatasetSpec)}
    assert fields - set(data_options._OPTIONS) == {"dataset.name", "dataset.shapes"}
