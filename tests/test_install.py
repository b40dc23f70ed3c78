"""An installed odbench works outside the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tiny import TINY

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A wheel, built and unpacked: what an installation puts into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def call(site, folder, *arguments):
    return subprocess.run(
        [sys.executable, "-c", "from odbench.cli import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_configuration_and_templates_are_packed(unpacked):
    packed = unpacked / "odbench" / "_data"
    source = {p.relative_to(ROOT) for d in ("conf", "sweeps") for p in (ROOT / d).rglob("*.yaml")}
    assert {p.relative_to(packed) for p in packed.rglob("*.yaml")} == source
    templates = {p.name for p in (ROOT / "odbench/report/templates").iterdir()}
    assert {p.name for p in (unpacked / "odbench/report/templates").iterdir()} == templates


def test_it_runs_outside_the_checkout(unpacked, tmp_path):
    where = call(unpacked, tmp_path, "run", "--cfg", "job", "--package", "train")
    assert "batch_size: 8" in where.stdout
    done = call(unpacked, tmp_path, "run", "-m", *TINY, "tracking=none", "seed=0")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("reports/*/report.md"))
    assert list(tmp_path.glob("runs/*/*/0/record.json"))
    code = "import odbench; print(odbench.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(unpacked) in done.stdout


def test_a_packed_sweep_definition_is_found(unpacked, tmp_path):
    name = "mobilenets_by_batch"
    shown = call(unpacked, tmp_path, "run", "--config-name", name, "--cfg", "hydra", *TINY)
    assert "train.batch_size: 4,8" in shown.stdout
