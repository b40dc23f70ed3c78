"""The commands of ``odbench zoo``."""

import json
import logging
import subprocess
import sys
from subprocess import CompletedProcess

import pytest
from typer.testing import CliRunner
from zoo_world import FILES, NAME, TOP, answer, serving, tarball, unpacked

from odbench.cli import app
from odbench.zoo.catalogue import PUBLISHED, catalogue
from odbench.zoo.transfer import Patience
from odbench.zoo.view import _Lines


@pytest.fixture
def call(tmp_path, monkeypatch):
    """As `odbench zoo`, in this process, with a cache of the test's own and without waits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ODBENCH_CACHE_DIR", str(tmp_path / "cache"))
    made = Patience(tries=2, backoff_s=0.0, backoff_max_s=0.0).retry()
    monkeypatch.setattr(Patience, "retry", lambda _: made)

    def run(*arguments):
        done = CliRunner().invoke(app, ["zoo", *map(str, arguments)])
        return CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def zoo(monkeypatch):
    with serving(tarball()) as zoo:
        monkeypatch.setenv("ODBENCH_ZOO_MIRROR", zoo.address)
        yield zoo


def models(done):
    return {model["name"]: model for model in json.loads(done.stdout)["models"]}


def test_list_shows_every_row_with_a_state(call, tmp_path):
    done = call("list")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (
        f"43 of 43 models of the TF2 zoo. ms and AP (of boxes, masks, keypoints): {PUBLISHED}"
        in (lines[0])
    )
    for row in catalogue():
        (line,) = [x for x in lines if x.split()[:1] in ([row.name], [f"{row.name}*"])]
        assert line.rstrip().endswith("not cached" if row.buildable else "not buildable")
    (line,) = [x for x in lines if x.split()[:1] == ["mask_rcnn_inception_resnet_v2_1024x1024"]]
    assert line.split()[1:6] == ["mask_rcnn", "1024x1024", "301", "0.390", "0.346"]
    assert "extremenet: not buildable: the Object Detection API has no model builder" in done.stdout
    assert "efficientdet_d6: The zoo lists 1280x1280" in done.stdout
    assert not (tmp_path / "cache").exists()  # looking makes nothing


def test_list_as_json(call, zoo, tmp_path):
    call("fetch", NAME)
    done = call("list", "--json")
    body = json.loads(done.stdout)
    assert body["published"] == PUBLISHED
    assert body["cache_dir"] == str(tmp_path / "cache")
    found = models(done)
    assert len(found) == 43
    d0 = found["efficientdet_d0"]
    assert d0["published"] == {"speed_ms": 39, "AP": 0.336, "AP_mask": None, "AP_keypoint": None}
    assert (d0["state"], d0["checkpoint_bytes"], d0["input_size"]) == (
        "not cached",
        None,
        [512] * 2,
    )
    sizes = [len(FILES[f"checkpoint/ckpt-0.{x}"]) for x in ("index", "data-00000-of-00001")]
    assert found[NAME]["state"] == "cached"
    assert found[NAME]["checkpoint_bytes"] == sum(sizes)
    assert found[NAME]["checkpoint"].endswith(f"{NAME}/checkpoint/ckpt-0")


def test_list_is_filtered(call, zoo):
    done = call("list", "--family", "efficientdet", "--min-ap", "0.4", "--max-ms", "100", "--json")
    assert list(models(done)) == ["efficientdet_d2", "efficientdet_d3"]
    assert list(models(call("list", "*kpts", "--json"))) == list(
        models(call("list", "--outputs", "keypoints", "--json"))
    )
    assert models(call("list", "--cached", "--json")) == {}
    call("fetch", NAME)
    assert list(models(call("list", "--cached", "--json"))) == [NAME]
    none = call("list", "nothing")
    assert none.returncode == 0
    assert none.stdout.startswith("0 of 43 models")
    wrong = call("list", "--outputs", "boxs")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "--outputs: no such choice" in wrong.stderr


def test_show(call, zoo):
    shown = call("show", "centernet_hg104_512x512_kpts").stdout
    assert f"0.614 on COCO 2017 val: {PUBLISHED}" in shown
    assert f"76 ms: {PUBLISHED}" in shown
    assert "http://download.tensorflow.org/models/object_detection/tf2/20200711/" in shown
    call("fetch", NAME)
    assert f"{NAME}/pipeline.config" in call("show", NAME).stdout
    body = json.loads(call("show", NAME, "--json").stdout)
    assert body["state"] == "cached"
    assert body["published_means"] == PUBLISHED
    assert "not buildable: the Object Detection API" in call("show", "extremenet").stdout
    wrong = call("show", "efficientdet_d9")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean efficientdet_d" in wrong.stderr


def test_fetch_where_verify(call, zoo, tmp_path):
    before = call("where", NAME)
    assert (before.returncode, before.stdout) == (2, "")
    assert f"odbench zoo import {TOP}.tar.gz" in before.stderr
    fetched = call("fetch", NAME)
    prefix = tmp_path / "cache" / "zoo" / NAME / "checkpoint" / "ckpt-0"
    assert (fetched.returncode, fetched.stdout) == (0, f"{NAME}: {prefix}\n")
    assert call("where", NAME).stdout == f"{prefix}\n"
    assert "already there, nothing done" in call("fetch", NAME).stdout
    verified = call("verify")
    assert verified.returncode == 0
    assert "1 of 1 cached models are whole" in verified.stdout
    prefix.with_suffix(".index").write_bytes(b"other" * 40)
    broken = call("verify", NAME, "--json")
    assert broken.returncode == 1
    assert json.loads(broken.stdout)[0]["problems"]
    assert "0 of 1 cached models are whole" in call("verify").stdout
    assert call("fetch", NAME, "--again").returncode == 0
    assert call("verify").returncode == 0
    assert call("verify", "efficientdet_d0").returncode == 2
    assert call("verify", "--cache-dir", "none").stdout == "0 of 0 cached models are whole\n"


def test_fetch_tells_what_goes_wrong(call, zoo):
    zoo.always = answer(404)
    failed = call("fetch", NAME)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert f"{zoo.url}: cannot be fetched: the server answered 404" in failed.stderr
    assert f"odbench zoo import {TOP}.tar.gz --name {NAME}" in failed.stderr
    assert call("fetch").returncode == 2
    assert call("fetch", NAME, "--all").returncode == 2
    asked = len(zoo.asked)
    unknown = call("fetch", NAME, "ssd_mobilenet")
    assert (unknown.returncode, len(zoo.asked)) == (2, asked)  # before anything is begun
    assert call("fetch", "extremenet").returncode == 2
    assert call("fetch", NAME, "--mirror", "ftp://x").returncode == 2
    assert call("fetch", NAME, "--max-bytes", "0").returncode == 2


def test_fetch_all_goes_on_after_a_failure(call, zoo):
    zoo.next.extend([None, answer(404), answer(403)])
    done = call("fetch", "--all")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 39
    assert done.stderr.count("left out: extremenet") == 2
    assert done.stderr.count("cannot be fetched") == 2
    asked = len(zoo.asked)
    again = call("fetch", "--all", "--json")
    assert again.returncode == 0
    stored = json.loads(again.stdout)
    assert len(stored) == 41
    assert sum(one["made"] for one in stored) == len(zoo.asked) - asked == 2


def test_another_tarball_needs_a_word(call, zoo, tmp_path):
    call("fetch", NAME)
    zoo.content, zoo.etag = tarball({**FILES, "checkpoint/ckpt-0.index": b"new"}), '"two"'
    refused = call("fetch", NAME, "--again")
    assert refused.returncode == 2
    assert "not the one that was trusted first" in refused.stderr
    assert call("verify").returncode == 0  # what was there stays
    assert call("fetch", NAME, "--again", "--accept-new").returncode == 0
    index = tmp_path / "cache" / "zoo" / NAME / "checkpoint" / "ckpt-0.index"
    assert index.read_bytes() == b"new"


def test_import(call, tmp_path):
    (tmp_path / f"{TOP}.tar.gz").write_bytes(tarball())
    done = call("import", f"{TOP}.tar.gz", "--json")
    body = json.loads(done.stdout)
    assert (body["name"], body["made"]) == (NAME, True)
    assert body["source"] == str(tmp_path / f"{TOP}.tar.gz")
    unpacked(tmp_path / "mine")
    refused = call("import", "mine")
    assert refused.returncode == 2
    assert "--name NAME" in refused.stderr
    taken = call("import", "mine", "--name", "efficientdet_d0", "--cache-dir", "other")
    prefix = tmp_path / "other" / "zoo" / "efficientdet_d0" / "checkpoint" / "ckpt-0"
    assert (taken.returncode, taken.stdout) == (0, f"efficientdet_d0: {prefix}\n")


@pytest.mark.process
def test_listing_stays_light(tmp_path):
    probe = (
        "import sys; from odbench.cli import app\n"
        "try: app(['zoo', 'list'], prog_name='odbench')\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = ('tensorflow', 'mlflow', 'pandas', 'matplotlib', 'numpy', 'hydra', 'requests')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_without_a_terminal_progress_is_a_line_now_and_then(caplog, monkeypatch):
    now = 0.0
    monkeypatch.setattr("odbench.zoo.view.time.monotonic", lambda: now)
    caplog.set_level(logging.INFO)
    lines = _Lines("model")
    for now in (1.0, 11.0, 12.0, 25.0):
        lines(int(now * 1e6), 30_000_000 if now < 20 else None)
    assert caplog.messages == ["model: 11.0 of 30.0 MB", "model: 25.0 MB"]
