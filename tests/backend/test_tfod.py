"""The real engine: short runs by the command, each in its own process."""

import json
import shutil
import subprocess
import sys

import pytest
from processes import completed
from tfod_runs import SHORT

pytestmark = [pytest.mark.tf, pytest.mark.timeout(900)]


def run(folder, *overrides, exit_code=0):
    done = completed(folder, "run", *overrides, timeout=800)
    assert done.returncode == exit_code, done.stderr
    paths = sorted(folder.rglob("record.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(paths[-1].read_text()), paths[-1].parent


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One short run with every stage: (record, run folder)."""
    return run(tmp_path_factory.mktemp("finished"), *SHORT, "runtime=deterministic")


def test_exactly_the_steps_that_were_asked_for(finished):
    train = finished[0]["train"]
    assert train["num_steps"] == 12
    assert (len(train["warmup_step_s"]), len(train["compute_s"])) == (2, 9)
    assert all(seconds > 0 for seconds in train["compute_s"] + train["warmup_step_s"])
    assert train["first_step_s"] > 0
    assert [point["step"] for point in train["losses"]] == [1, 4, 8, 12]
    assert [write["step"] for write in train["checkpoints"]] == [6, 12]
    assert train["parameters"] == 325_028
    assert train["checkpoint"] == "train/ckpt-12"


def test_learning_rate_follows_the_schedule(finished):
    record, _ = finished
    edits = {edit["field"].rpartition(".")[2]: edit["new"] for edit in record["edits"]}
    assert edits["num_steps"] == edits["total_steps"] == 12
    rates = [point["learning_rate"] for point in record["train"]["losses"]]
    assert rates[-1] == pytest.approx(0.0, abs=1e-6)  # cosine: nothing is left at the end
    assert max(rates) <= edits["learning_rate_base"]


def test_every_image_is_evaluated_once(finished):
    evaluation = finished[0]["eval"]
    assert (evaluation["images_evaluated"], evaluation["images_in_set"]) == (5, 5)
    assert "partial_eval" not in finished[0]["flags"]
    detections = json.loads((finished[1] / evaluation["detections"]).read_text())
    assert len(detections) == evaluation["num_detections"] > 0
    assert {d["image_id"] for d in detections} <= {1, 2, 3, 4, 5}
    # three batches of two: the last is filled up, and its surplus image is not counted twice
    assert max(sum(d["image_id"] == i for d in detections) for i in range(1, 6)) <= 100


def test_export_and_latency(finished):
    record, folder = finished
    saved_model = folder / record["export"]["saved_model"]
    size = sum(path.stat().st_size for path in saved_model.rglob("*") if path.is_file())
    assert record["export"]["size_bytes"] == size > 10**6
    assert len(record["latency"]["latency_s"]) == 3
    assert record["latency"]["image_sizes"][0] == [128, 128]
    assert record["metrics"]["latency/p99_ms"] is None  # three samples say nothing of a p99
    assert record["device"]["kind"] == "cpu" or record["device"]["kind"] == "gpu"


def test_stages_are_measured_whole(finished):
    usage = finished[0]["usage"]
    assert list(usage) == ["train", "eval", "export", "latency"]
    assert all(usage[stage]["wall_s"] > 0 and usage[stage]["cpu_s"] > 0 for stage in usage)
    assert usage["train"]["peak_ram_bytes"] > 2 * 10**8
    train = finished[0]["train"]
    parts = train["build_s"] + train["first_step_s"] + sum(train["warmup_step_s"])
    assert parts + sum(train["compute_s"]) <= usage["train"]["wall_s"]


# Runs the SavedModel on the first evaluation picture, without the API.
_REPLAY = """
import json, sys
from pathlib import Path
import tensorflow as tf
folder, record = Path(sys.argv[1]), next(Path(sys.argv[2]).glob("val-*.tfrecord"))
model = tf.saved_model.load(str(folder / "export" / "saved_model"))
raw = next(iter(tf.data.TFRecordDataset(str(record))))
keys = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
image = tf.io.decode_jpeg(tf.io.parse_single_example(raw, keys)["image/encoded"], channels=3)
found = model.signatures["serving_default"](input_tensor=image[tf.newaxis])
print(json.dumps({k: found[k][0].numpy().tolist()
                  for k in ("detection_scores", "detection_boxes", "detection_classes")}))
"""


def test_exported_model_detects_what_the_checkpoint_detects(finished):
    record, folder = finished
    data = json.loads((folder / "job.json").read_text())["dataset"]
    done = subprocess.run(
        [sys.executable, "-c", _REPLAY, str(folder), data],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    exported = json.loads(done.stdout.strip().splitlines()[-1])
    evaluated = [
        d
        for d in json.loads((folder / record["eval"]["detections"]).read_text())
        if d["image_id"] == 1
    ]
    evaluated.sort(key=lambda d: -d["score"])
    for score, box, label, kept in zip(
        exported["detection_scores"][:5],
        exported["detection_boxes"][:5],
        exported["detection_classes"][:5],
        evaluated[:5],
        strict=True,
    ):
        assert kept["score"] == pytest.approx(score, abs=1e-4)
        assert kept["category_id"] == label
        ymin, xmin, ymax, xmax = (128 * side for side in box)
        assert kept["bbox"] == pytest.approx([xmin, ymin, xmax - xmin, ymax - ymin], abs=0.1)


def test_same_seed_gives_the_same_losses(finished, tmp_path):
    again, _ = run(tmp_path, *SHORT, "runtime=deterministic", "eval=none", "export=none")
    assert again["train"]["losses"] == finished[0]["train"]["losses"]
    assert again["eval"] is None
    assert again["status"] == "ok"


@pytest.mark.shared
def test_real_pictures_and_a_second_family(shared_data, tmp_path):
    record, _ = run(
        tmp_path,
        *SHORT[:2],
        "experiment=smoke",
        "dataset=voc",
        f"dataset.dir={shared_data / 'sets' / 'bccd'}",
        "model=ssd_mobilenet_v2_320x320",
        "train.batch_size=2",
        "eval.batch_size=16",
    )
    assert record["status"] == "ok"
    assert record["eval"]["images_evaluated"] == 87
    assert record["dataset"]["findings"] == {"split_left_out": 1, "zero_area_box": 2}
    assert record["dataset"]["classes"] == ["Platelets", "RBC", "WBC"]


def test_a_gpu_that_is_not_there(tmp_path):
    done = completed(tmp_path, "run", *SHORT, "runtime.device=gpu:7")
    assert done.returncode == 2
    assert "no such GPU" in done.stderr


# Compares the variables of two checkpoints; prints the names of those that differ.
_COMPARE = """
import sys
import numpy as np
import tensorflow as tf
one, two = (tf.train.load_checkpoint(path) for path in sys.argv[1:])
names = {n for n in one.get_variable_to_shape_map() if not n.startswith("save_counter")}
names -= {"_CHECKPOINTABLE_OBJECT_GRAPH"}
assert len(names) > 100, names
print([n for n in sorted(names) if not np.array_equal(one.get_tensor(n), two.get_tensor(n))])
"""


_PREDICT = """
import json, sys
from pathlib import Path
import numpy as np
from odbench.records import StoredRun, load_record
from odbench.registering import register
from odbench.tracking.sync import Places
folder = Path(sys.argv[1])
run = StoredRun(load_record(folder / "record.json"), folder)
version = register(run, "tiny")
assert "tensorflow" not in sys.modules
import mlflow
mlflow.set_tracking_uri(Places().of(run).uri)
model = mlflow.pyfunc.load_model(f"models:/tiny/{version.version}")
found = model.predict(np.zeros((1, 96, 128, 3), np.uint8))
print(json.dumps({"found": {k: v.shape for k, v in found.items()},
                  "told": model.metadata.signature.outputs.input_names()}))
"""


def test_a_registered_model_is_loaded_by_mlflow_and_detects(finished, empty_database):
    folder = finished[1]
    (store,) = (parent for parent in folder.parents if parent.name == "runs")
    shutil.copy(empty_database, store / "mlflow.db")
    done = subprocess.run(
        [sys.executable, "-c", _PREDICT, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["found"]["detection_boxes"] == [1, 100, 4]
    assert answer["found"]["num_detections"] == [1]
    assert set(answer["told"]) <= set(answer["found"])


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The run of ``finished``, evaluated on the way until it stops early, its best exported."""
    return run(
        tmp_path_factory.mktemp("evaluated"),
        *SHORT,
        "runtime=deterministic",
        "train.eval_every_steps=2",
        "train.early_stopping_patience=2",
        "train.early_stopping_min_delta=0.9",
        "export.checkpoint=best",
        "timing.latency_enabled=false",
    )


def test_it_stops_early_and_says_so(evaluated):
    train = evaluated[0]["train"]
    assert (train["stopped_early"], train["num_steps"]) == (True, 6)
    assert [point["step"] for point in train["evaluations"]] == [2, 4, 6]
    assert len(train["compute_s"]) == 3  # of steps 4 to 6
    assert {"projection", "eval_in_window", "checkpoint_in_window"} <= set(evaluated[0]["flags"])
    assert train["checkpoint"] == "train/ckpt-6"


def test_the_best_checkpoint_is_kept_evaluated_and_exported(evaluated):
    record, folder = evaluated
    train = record["train"]
    best = max(train["evaluations"], key=lambda point: point["metrics"]["AP"])
    assert train["best_checkpoint"] == f"train/best/ckpt-{best['step']}"
    assert (folder / f"{train['best_checkpoint']}.index").is_file()
    assert record["eval"]["checkpoint"] == train["best_checkpoint"]
    assert record["eval"]["metrics"] == best["metrics"]
    exported = folder / "export" / "checkpoint" / "ckpt-0"
    differing = compare(folder / train["best_checkpoint"], exported, "model/")
    assert differing == "[]"


def test_evaluations_do_not_disturb_the_training(finished, evaluated):
    paths = [folder / "train" / "ckpt-6" for _, folder in (finished, evaluated)]
    assert compare(*paths) == "[]"
    plain, watched = (record["train"]["losses"] for record, _ in (finished, evaluated))
    assert watched == plain[: len(watched)]


def compare(one, two, prefix=""):
    chosen = f"names = {{n for n in names if n.startswith({prefix!r}) and '.OPTIMIZER' not in n}}\n"
    code = _COMPARE.replace("assert len", f"{chosen}assert len") if prefix else _COMPARE
    done = subprocess.run(
        [sys.executable, "-c", code, str(one), str(two)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]
