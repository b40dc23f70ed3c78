"""The real engine, interrupted by a signal in the middle of training and resumed."""

import json
import signal
import subprocess
import sys

import pytest
from processes import completed, end, events_of, start, wait_for
from tfod_runs import SHORT

pytestmark = [pytest.mark.tf, pytest.mark.timeout(900)]

STEPS = 300

_ITERATIONS = """
import sys
import tensorflow as tf
reader = tf.train.load_checkpoint(sys.argv[1])
names = reader.get_variable_to_shape_map()
counters = ("step", "optimizer/iter", "optimizer/_iterations")
print([int(reader.get_tensor(n)) for n in sorted(names) if n.split("/.ATT")[0] in counters])
"""


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """(record after the signal, record after the resume, run folder)."""
    folder = tmp_path_factory.mktemp("resumed")
    options = [*SHORT, f"train.num_steps={STEPS}", f"timing.measured_steps={STEPS}"]
    options += ["train.checkpoint_every_steps=null", "eval=none", "export=none"]
    process = start(folder, "run", *options, output=subprocess.PIPE)
    wait_for(lambda: any(map(has_trained, events_of(folder))), seconds=300)
    code, errors = end(process, signal.SIGTERM)
    assert code == 130, errors
    (path,) = folder.rglob("record.json")
    interrupted = json.loads(path.read_text())
    done = completed(folder, "resume", path.parent, timeout=600)
    assert done.returncode == 0, done.stderr
    return interrupted, json.loads(path.read_text()), path.parent


def has_trained(path):
    return '"step": 8, "learning_rate"' in path.read_text()


def test_both_parts_are_in_the_record_and_no_step_twice(resumed):
    interrupted, record, _ = resumed
    assert interrupted["status"] == "interrupted"
    assert (record["status"], record["run_id"]) == ("ok", interrupted["run_id"])
    train = record["train"]
    first, second = train["parts"]
    assert train["num_steps"] == STEPS
    assert first["first_step"] == 1 and 8 <= first["last_step"] < STEPS
    assert (second["first_step"], second["last_step"]) == (first["last_step"] + 1, STEPS)
    assert second["restore_s"] > 0
    # each part traces once and warms up for two steps
    assert len(train["compute_s"]) == STEPS - 2 * 3
    steps = [point["step"] for point in train["losses"]]
    assert steps == [1, *range(4, STEPS + 1, 4)]
    assert "resumed" in record["flags"]
    assert record["wall_s"] > interrupted["wall_s"]


def test_the_learning_rate_goes_on_where_it_was(resumed):
    train = resumed[1]["train"]
    break_at = train["parts"][0]["last_step"]
    rates = {point["step"]: point["learning_rate"] for point in train["losses"]}
    before = max(step for step in rates if step <= break_at)
    after = min(step for step in rates if step > break_at)
    assert rates[after] == pytest.approx(rates[before], rel=0.5)
    assert rates[STEPS] == pytest.approx(0.0, abs=1e-5)


def test_model_and_optimiser_count_every_step_once(resumed):
    _, record, folder = resumed
    done = subprocess.run(
        [sys.executable, "-c", _ITERATIONS, str(folder / record["train"]["checkpoint"])],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    counts = json.loads(done.stdout.strip().splitlines()[-1])
    assert counts and set(counts) == {STEPS}
