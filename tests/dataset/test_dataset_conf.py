from __future__ import annotations

import pytest

from odbench.config.compose import compose_spec
from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.errors import ConfigError


@pytest.mark.parametrize("kind", ["voc", "csv", "coco", "tfrecord", "auto"])
def test_every_kind_has_a_choice(kind):
    spec = compose_spec([f"dataset={kind}", "dataset.dir=/some/where"]).dataset
    assert (spec.kind, spec.name, spec.dir) == (DatasetKind[kind], kind, "/some/where")


def test_a_choice_without_its_folder_is_refused():
    with pytest.raises(ConfigError, match=r"dataset\.dir"):
        compose_spec(["dataset=voc"])


def test_columns_and_files_are_given_on_the_command_line():
    overrides = ["dataset=csv", "dataset.dir=/some/where", "dataset.images_dir=pictures"]
    overrides += ["dataset.csv_columns={filename: image, class: label}"]
    overrides += ["dataset.annotations.train=a.csv", "dataset.annotations.val=b.csv"]
    spec = compose_spec(overrides).dataset
    assert spec.csv_columns == {"filename": "image", "class": "label"}
    assert spec.annotations == {"train": "a.csv", "val": "b.csv"}


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"csv_columns": {"picture": "image"}}, r"dataset\.csv_columns"),
        ({"annotations": {"test": "a.csv"}}, r"dataset\.annotations"),
        ({"annotations": {"all": "a.csv", "val": "b.csv"}}, r"dataset\.annotations"),
        ({"workers": 0}, r"dataset\.workers"),
    ],
)
def test_wrong_options_are_refused_by_path(options, path):
    with pytest.raises(ConfigError, match=path):
        DatasetSpec(name="t", kind=DatasetKind.csv, dir="x", **options)
