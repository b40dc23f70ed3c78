"""The table of feature extractors, against the API that it speaks for."""

import json
import subprocess
import sys

import pytest

from odbench.pipeline.lint_extractors import EXTRACTORS, fitting_sizes, pyramid_fits

SIZES = [297, 312, 313, 320, 321, 384, 512]
LEVELS = [("fpn", 3, 7), ("fpn", 2, 6), ("fpn", 3, 4), ("bifpn", 3, 7)]

# One process for all. Nothing is trained: pyramids get features of the sizes that a backbone has.
SCRIPT = """
import json, sys
from odbench.backend.tfod import compat
compat.prepare_environment()
compat.install()
import tensorflow as tf
from google.protobuf import text_format
from object_detection.builders import hyperparams_builder, model_builder
from object_detection.meta_architectures import center_net_meta_arch
from object_detection.models import bidirectional_feature_pyramid_generators as bifpn
from object_detection.models import feature_map_generators as fpn
from object_detection.models.keras_models import hourglass_network
from object_detection.protos import hyperparams_pb2

maps = {
    "ssd": model_builder.SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP,
    "faster_rcnn": model_builder.FASTER_RCNN_KERAS_FEATURE_EXTRACTOR_CLASS_MAP,
    "center_net": model_builder.CENTER_NET_EXTRACTOR_FUNCTION_MAP,
}
sizes, levels = json.loads(sys.argv[1])
text = "regularizer { l2_regularizer { } } initializer { truncated_normal_initializer { } }"
proto = text_format.Parse(text, hyperparams_pb2.Hyperparams())
params = hyperparams_builder.KerasLayerHyperparams(proto)

def pyramid(kind, low, high):
    last = min(high, 5)
    common = dict(is_training=False, conv_hyperparams=params, freeze_batchnorm=True)
    if kind == "fpn":
        return fpn.KerasFpnTopDownFeatureMaps(num_levels=last - low + 1, depth=4, **common)
    return bifpn.KerasBiFpnFeatureMaps(
        bifpn_num_iterations=1, bifpn_num_filters=4, fpn_min_level=low, fpn_max_level=high,
        input_max_level=last, **common)

def features(kind, size, low, high):
    name = "{}" if kind == "fpn" else "0_up_lvl_{}"
    cells = {level: -(-size // 2**level) for level in range(low, min(high, 5) + 1)}
    return [(name.format(l), tf.zeros([1, n, n, 4])) for l, n in cells.items()]

def works(call, *args):
    try:
        call(*args)
    except (tf.errors.InvalidArgumentError, ValueError):
        return False
    return True

fits = [[works(pyramid(*level), features(level[0], size, *level[1:])) for size in sizes]
        for level in levels]
network = hourglass_network.hourglass_10(num_channels=2)
hourglass = [works(network, tf.zeros([1, n, n, 3])) for n in (32, 40, 44, 48, 60)]
stages = {}
for depth in (10, 20, 32, 52):
    made = getattr(hourglass_network, f"hourglass_{depth}")(num_channels=2)
    block, count = made.hourglass_network[0], 0
    while hasattr(block, "inner_block"):
        block, count = block.inner_block[0], count + 1
    stages[depth] = count
print(json.dumps({"names": {k: sorted(v) for k, v in maps.items()}, "fits": fits,
                  "hourglass": hourglass, "stages": stages}))
"""


@pytest.fixture(scope="module")
def api():
    command = [sys.executable, "-c", SCRIPT, json.dumps([SIZES, LEVELS])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.tf
def test_the_names_are_those_of_the_api(api):
    assert {kind: sorted(names) for kind, names in EXTRACTORS.items()} == api["names"]


@pytest.mark.tf
def test_a_pyramid_takes_the_sizes_that_we_say(api):
    ours = [[pyramid_fits(size, low, high, kind) for size in SIZES] for kind, low, high in LEVELS]
    assert ours == api["fits"]
    assert {True, False} == {fits for row in ours for fits in row}


@pytest.mark.tf
def test_an_hourglass_takes_the_sizes_that_we_say(api):
    multiple = EXTRACTORS["center_net"]["hourglass_10"].multiple
    assert multiple == 8
    # 44 and 60 pixels have 11 and 15 cells, which cannot be halved and doubled again
    assert api["hourglass"] == [size % multiple == 0 for size in (32, 40, 44, 48, 60)]
    stages = {int(depth): count for depth, count in api["stages"].items()}
    for depth, count in stages.items():
        assert EXTRACTORS["center_net"][f"hourglass_{depth}"].multiple == 4 * 2**count


def test_sizes_next_to_one_that_does_not_fit():
    for kind, low, high in LEVELS:
        for size in SIZES:
            below, above = fitting_sizes(size, low, high, kind)
            assert below <= size <= above
            assert pyramid_fits(above, low, high, kind)
            assert pyramid_fits(below, low, high, kind)
