"""Starting from a checkpoint with the real engine: what is restored, and what does not fit."""

import json
import re
import subprocess
import sys

import pytest
from processes import completed

pytestmark = [pytest.mark.tf, pytest.mark.timeout(900)]

TINY = [
    "dataset.shapes.train_images=8",
    "dataset.shapes.val_images=2",
    "train.batch_size=2",
    "runtime=cpu",
]

# Builds a model of three classes, writes its checkpoint, then starts other models from it. Prints
# per case: what was restored, whether each part now equals the checkpoint to the bit, the error.
_CASES = """
import json, sys
from pathlib import Path
from odbench.backend.tfod import compat
compat.prepare_environment(); compat.install()
import numpy as np
import tensorflow as tf
from odbench.backend.tfod import restoring, session, training
from odbench.config.compose import compose_spec
from odbench.errors import RunError
from odbench.events import EventLog
from odbench.job import prepare
session.quiet()
folder, tiny, cases = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
log = EventLog(folder / "events.jsonl", None)

def build(overrides, seed):
    tf.keras.backend.clear_session()
    tf.random.set_seed(seed)
    spec = compose_spec([*tiny, *overrides])
    proto = prepare(spec).pipeline.proto
    trainer = training._build(spec, proto, folder / "train")
    return proto, trainer

def values(model):
    return {k: v.numpy() for k, v in restoring._variables(tf.train.Checkpoint(model=model)).items()}

proto, trainer = build([], 1)
restoring.model_lib_v2._ensure_model_is_built(trainer.model, trainer.dataset, False)
prefix = tf.train.Checkpoint(model=trainer.model).write(str(folder / "made" / "ckpt-1"))
stored = values(trainer.model)
data = Path(f"{prefix}.data-00000-of-00001")
whole = data.read_bytes()
results = {}
for name, (overrides, damage) in cases.items():
    proto, trainer = build([f"train.init={prefix}", *overrides], 2)
    if damage:
        half = len(whole) // 2
        data.write_bytes(whole[:half] + bytes(64) + whole[half + 64 :])
    try:
        done = restoring.restore(trainer.model, proto.train_config, trainer.dataset, log)
    except RunError as error:
        results[name] = {"error": str(error)}
        continue
    finally:
        data.write_bytes(whole)
    now = values(trainer.model)
    same = {k: k in stored and np.array_equal(v, stored[k]) for k, v in now.items()}
    heads = [k for k in now if "_box_predictor" in k]
    results[name] = {
        "restored": done.variables, "left": done.left_random, "seconds": done.restore_s,
        "total": len(now), "heads": len(heads),
        "type": proto.train_config.fine_tune_checkpoint_type,
        "other_bodies": [k for k in now if k not in heads and not same[k]],
        "same_heads": [k for k in heads if same[k] and "kernel" in k],
        "other_heads": [k for k in heads if not same[k]],
    }
print(json.dumps(results))
"""

FULL = "model.pipeline.train_config.fine_tune_checkpoint_type=full"
EXTRACTOR = "model.pipeline.model.ssd.feature_extractor"
CASES = {
    "full": ([FULL], False),
    "other_classes": (["dataset.shapes.classes=5"], False),
    "other_classes_full": (["dataset.shapes.classes=5", FULL], False),
    "other_backbone": ([f"{EXTRACTOR}.type=ssd_mobilenet_v1_fpn_keras"], False),
    "damaged": ([], True),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each of the cases came to in one process, its events, the folder of the checkpoint."""
    folder = tmp_path_factory.mktemp("restoring")
    done = subprocess.run(
        [sys.executable, "-c", _CASES, str(folder), json.dumps(TINY), json.dumps(CASES)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return json.loads(done.stdout.strip().splitlines()[-1]), events, folder / "made"


def test_full_restores_every_variable(results):
    full = results[0]["full"]
    assert full["restored"] == full["total"] > 300
    assert (full["left"], full["other_bodies"], full["other_heads"]) == (0, [], [])
    assert full["seconds"] > 0


def test_detection_restores_all_but_the_heads(results):
    found = results[0]["other_classes"]
    assert found["type"] == "detection"
    assert found["other_bodies"] == []  # equal to the checkpoint to the bit
    assert found["same_heads"] == []  # random
    assert found["restored"] == found["total"] - found["heads"]
    assert found["left"] == found["heads"] > 0


def test_what_was_left_random_is_told(results):
    told = [event for event in results[1] if event["event"] == "restored"]
    assert [event["type"] for event in told] == ["full", "detection"]
    assert told[0]["left_random"] == 0 < told[1]["left_random"]
    assert told[0]["variables"] == told[1]["variables"] + told[1]["left_random"]


def test_full_of_other_classes_names_both_shapes(results):
    error = results[0]["other_classes_full"]["error"]
    assert "does not fit the model (full)" in error
    # six anchors, each with background and 3 or 5 classes
    assert re.search(
        r"_box_predictor/\S+ \[[\d, ]*24\] in the checkpoint, \[[\d, ]*36\] in the model", error
    ), error
    assert "fine_tune_checkpoint_type=detection" in error


def test_another_backbone_names_what_is_missing(results):
    error = results[0]["other_backbone"]["error"]
    assert "missing in the checkpoint" in error or "of another shape" in error
    assert "model/_feature_extractor/" in error


def test_damaged_data_is_an_error_of_its_own(results):
    assert "the checkpoint cannot be read" in results[0]["damaged"]["error"]
    assert "made/ckpt-1" in results[0]["damaged"]["error"]


def run(folder, *overrides):
    """One run of two steps by the command: exit code and record."""
    short = ["experiment=smoke", "train.num_steps=3", "eval=none", "export=none"]
    short += ["tracking=none", "paths.reports_dir=null"]
    done = completed(folder, "run", *TINY, *short, *overrides, timeout=600)
    (path,) = folder.rglob("record.json")
    return done.returncode, json.loads(path.read_text())


def test_a_run_records_what_it_started_from(results, tmp_path):
    made = results[2]
    code, record = run(tmp_path, f"train.init={made}")
    assert code == 0, record["reason"]
    train = record["train"]
    assert train["restored_from"] == str(made)
    assert train["restored_variables"] == results[0]["other_classes"]["restored"]
    assert train["restore_s"] > 0


def test_a_run_from_what_does_not_fit_ends_before_its_first_step(results, tmp_path):
    code, record = run(tmp_path, f"train.init={results[2]}", "dataset.shapes.classes=5", FULL)
    assert (code, record["status"], record["failed_stage"]) == (1, "failed", "train")
    assert "_box_predictor" in record["reason"]
    assert record["train"] is None
    (events,) = tmp_path.rglob("runs/**/events.jsonl")
    assert "first_step" not in events.read_text()
