"""Every model of conf/model is built by the API, without reaching for the network."""

import json
import subprocess
import sys

import pytest

from odbench.config.register import data_dir

pytestmark = [pytest.mark.tf, pytest.mark.timeout(900)]

MODELS = sorted(path.stem for path in data_dir("conf").glob("model/*.yaml"))

# One process for all: importing TensorFlow takes longer than building a model.
SCRIPT = """
import json, socket, sys
from pathlib import Path
from odbench.backend.tfod import compat
compat.prepare_environment()
compat.install()

def refuse(*_):
    raise OSError("no network in this test")

socket.socket.connect = refuse
import tf_keras
from object_detection.builders import model_builder
from odbench.config.compose import compose_spec
from odbench.pipeline.build import base_proto

label_map = Path(sys.argv[1])
for name in sys.argv[2:]:
    model = base_proto(compose_spec([f"model={name}"]).model).model
    if name.endswith("_kpts"):
        [task] = model.center_net.keypoint_estimation_task
        points = "".join(
            f'keypoints {{ id: {i} label: "{label}" }} '
            for i, label in enumerate(task.keypoint_label_to_std)
        )
        label_map.write_text(f'item {{ id: 1 name: "{task.keypoint_class_name}" {points} }}')
        model.center_net.keypoint_label_map_path = str(label_map)
    try:
        built = type(model_builder.build(model, is_training=True)).__name__
    except Exception as error:
        built = f"{type(error).__name__}: {error}"
    print(json.dumps([name, built]), flush=True)
    tf_keras.backend.clear_session()
"""


def meta_architecture(name):
    if name.startswith("centernet"):
        return "CenterNetMetaArch"
    return "FasterRCNNMetaArch" if "_rcnn_" in name else "SSDMetaArch"


def test_the_api_builds_every_model(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "label_map.pbtxt"), *MODELS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr
    built = dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    assert built == {name: meta_architecture(name) for name in MODELS}
