"""Every cell of every definition in sweeps/ is a run that can be composed."""

import pytest

from odbench.config.compose import hydra_session
from odbench.config.composer import Composer
from odbench.config.register import data_dir, register
from odbench.sweeping.asked import expand, read_command

NAMES = sorted(path.stem for path in data_dir("sweeps").glob("*.yaml"))


# Composing a model takes a quarter of a second; tests/pipeline composes all of the zoo.
FEW = dict.fromkeys(("speed_only", "zoo_by_batch", "zoo_smoke"), "model=glob(ssd_mobilenet*)")

pytestmark = pytest.mark.process  # for its time


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_composes(name):
    register()
    given = ["seed=1", FEW[name]] if name in FEW else ["seed=1"]
    with hydra_session():
        composer = Composer(name)
        asked = read_command(composer, name, given, multirun=False)
        assert asked.multirun
        cells = expand(composer, asked) if asked.enumerated else []
    texts = {" ".join(overrides) for overrides, _ in cells}
    assert len(texts) == len(cells) != 1
    assert all(spec.seed >= 1 for _, spec in cells)
