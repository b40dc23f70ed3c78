"""The catalogue against the zoo's table, and which rows are listed."""

import csv
from pathlib import Path

import pytest

from odbench.errors import ConfigError, ZooError
from odbench.zoo import catalogue as module
from odbench.zoo.address import PUBLISHED_AT, address_of, without_credentials
from odbench.zoo.catalogue import Parameters, catalogue, entry
from odbench.zoo.listing import Wanted, chosen, row_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def table(shared_data):
    path = shared_data.parent / "facts" / "tf2_zoo.csv"
    if not path.is_file():
        pytest.skip(f"the zoo's table is not at {path}")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def per_cent(value):
    return None if value is None else round(100 * value, 1)


def number(text):
    return float(text) if text else None


@pytest.mark.shared
def test_every_row_of_the_published_table_is_there(table):
    assert len(table) == 43
    for row, published in zip(catalogue(), table, strict=True):
        other = row.AP_mask if "masks" in row.outputs else row.AP_keypoint
        size = "x".join(map(str, row.input_size)) if row.input_size else ""
        assert row.title == published["model_name"]
        assert row.speed_ms == number(published["speed_ms"])
        assert per_cent(row.AP) == number(published["coco_map_box"])
        assert per_cent(other) == number(published["map_other"])
        assert "/".join(row.outputs) == published["outputs"].lower()
        assert size == published["input_hw"]
        assert PUBLISHED_AT + row.path == published["url"]
        assert row.tarball == published["tarball"]


def test_names_follow_the_tarballs():
    rows = catalogue()
    assert len(rows) == len({row.name for row in rows}) == len({row.path for row in rows}) == 43
    for row in rows:
        assert row.tarball.startswith(row.name.removesuffix("_kpts").removesuffix("_deprecated"))
        assert row.name.endswith("_kpts") == ("keypoints" in row.outputs)
        assert "_coco17" not in row.name
    assert entry("centernet_mobilenetv2fpn_512x512_kpts").tarball.endswith("_coco17_kpts.tar.gz")
    assert entry("efficientdet_d0").tarball == "efficientdet_d0_coco17_tpu-32.tar.gz"


def test_only_extremenet_cannot_be_built():
    refused = {row.name: row.not_buildable for row in catalogue() if not row.buildable}
    assert set(refused) == {"extremenet", "extremenet_deprecated"}
    assert all("model builder" in reason for reason in refused.values())
    assert "20210507" in entry("extremenet").path


def test_every_other_row_is_a_model_that_can_be_run():
    there = {path.stem for path in (ROOT / "conf" / "model").glob("*.yaml")}
    assert {row.name for row in catalogue() if row.buildable} <= there


def test_an_unknown_name_is_told_its_neighbours():
    with pytest.raises(ZooError, match="no such model") as caught:
        entry("efficientdet-d0")
    assert "efficientdet_d0" in caught.value.fix
    with pytest.raises(ZooError, match="odbench zoo list"):
        entry("zzz")


def test_parameters_are_read_where_they_are_known(tmp_path, monkeypatch):
    measured = tmp_path / "parameters.csv"
    monkeypatch.setattr(module, "_PARAMETERS", measured)
    read = catalogue.__wrapped__  # past the cache
    assert {row.parameters for row in read()} == {None}
    measured.write_text("name,parameters,classes\nefficientdet_d0,3874217,90\n")
    by_name = {row.name: row.parameters for row in read()}
    assert by_name["efficientdet_d0"] == Parameters(3874217, 90)
    assert by_name["efficientdet_d1"] is None


def test_the_measured_parameters_are_of_models_of_the_zoo():
    names = {row.name for row in catalogue()}
    assert set(module._read_parameters()) <= names
    assert all(counted.count > 0 for counted in module._read_parameters().values())


def test_addresses():
    row = entry("efficientdet_d0")
    assert address_of(row, "https://host/zoo//") == f"https://host/zoo/{row.path}"
    assert without_credentials("http://me:pw@host:8080/a?b") == "http://host:8080/a?b"


def names(cache, **wanted):
    return [row.entry.name for row in chosen(Wanted(**wanted), cache)]


def test_rows_are_chosen(cache):
    assert len(names(cache)) == 43
    assert names(cache, outputs="masks") == ["mask_rcnn_inception_resnet_v2_1024x1024"]
    assert len(names(cache, outputs="keypoints")) == 5
    assert names(cache, min_ap=0.505) == ["efficientdet_d6", "efficientdet_d7"]
    assert names(cache, max_ms=6) == [
        "centernet_mobilenetv2fpn_512x512",
        "centernet_mobilenetv2fpn_512x512_kpts",
    ]
    assert "extremenet" not in names(cache, max_ms=1e9)  # no figure fulfils no bound
    assert "extremenet" not in names(cache, min_ap=0)
    assert names(cache, family="ssd") == ["ssd_mobilenet_v2_320x320"]
    assert len(names(cache, family="efficientdet", max_ms=100)) == 4
    assert names(cache, pattern="fpnlite") == names(cache, pattern="*fpnlite*")
    assert names(cache, pattern="efficientdet_d[01]") == ["efficientdet_d0", "efficientdet_d1"]
    assert names(cache, pattern="d[01]") == names(cache, cached=True) == []


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"family": "centrenet"}, "did you mean centernet"),
        ({"outputs": "mask"}, "did you mean masks"),
        ({"min_ap": 30}, "0 to 1"),
        ({"min_ap": float("nan")}, "0 to 1"),
    ],
)
def test_a_choice_that_there_is_not_is_told(wanted, told):
    with pytest.raises(ConfigError, match=told):
        Wanted(**wanted)


def test_unknown_is_null_and_never_nought(cache):
    body = row_of(entry("extremenet"), cache).as_json()
    assert body["published"] == {"speed_ms": None, "AP": None, "AP_mask": None, "AP_keypoint": None}
    assert body["parameters"] is body["checkpoint_bytes"] is body["input_size"] is None
    assert body["state"] == "not buildable"
    assert body["not_buildable"]
