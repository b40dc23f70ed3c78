"""The training loop of both backends, with an engine that only counts."""

import dataclasses
import json
import os
import signal

import pytest

from odbench.backend.checkpoints import checkpoint_files, chosen_checkpoint, keep_best
from odbench.backend.course import Course, read_course
from odbench.backend.loop import train_loop
from odbench.config.compose import compose_spec
from odbench.config.spec import CheckpointChoice
from odbench.errors import RunError
from odbench.events import EventLog, read_events
from odbench.measure.timer import StepSample


class Engine:
    """Counts steps from where its course stands; a step takes as many seconds as its number."""

    def __init__(self, run_dir, course, aps=None, after=None):
        self.run_dir, self.course, self.aps = run_dir, course, aps or {}
        self.after = after or (lambda step: None)
        self.done = []
        (run_dir / "train").mkdir(exist_ok=True)

    def step(self):
        number = self.course.step + 1
        self.done.append(number)
        self.after(number)
        return StepSample(0.0, float(number), number)

    def losses(self, result):
        return 0.1, {"Loss/total_loss": 1.0 / result}

    def save(self, step):
        (self.run_dir / "train" / f"ckpt-{step}.data").write_text(str(step))
        return 0.25, f"train/ckpt-{step}"

    def keep_best(self, prefix):
        return keep_best(self.run_dir, prefix)

    def evaluate(self, prefix):
        return int(prefix.rpartition("-")[2])

    def parameters(self):
        return 7


@pytest.fixture
def trained(tmp_path):
    """Trains in ``tmp_path``: ``trained(*overrides, aps={}, after=None) -> (result, engine)``."""

    def call(*overrides, aps=None, after=None):
        spec = compose_spec(["timing.warmup_steps=2", "timing.measured_steps=100", *overrides])
        course = Course(spec, tmp_path)
        course.set_up(build_s=1.0, restore_s=0.5 if course.resumed else None)
        engine = Engine(tmp_path, course, aps, after)
        log = EventLog(tmp_path / "events.jsonl")
        score = lambda step: {"AP": engine.aps.get(step), "AP50": None}  # noqa: E731
        try:
            return train_loop(spec, engine, course, log, score), engine
        finally:
            log.close()

    return call


def interrupt_at(number, how=signal.SIGTERM):
    return lambda step: os.kill(os.getpid(), how) if step == number else None


def test_exactly_the_steps_and_their_times(trained):
    result, engine = trained("train.num_steps=10", "train.loss_every_steps=4")
    assert engine.done == list(range(1, 11))
    assert (result.first_step_s, result.warmup_step_s) == (1.0, [2.0, 3.0])
    assert result.compute_s == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    assert [point.step for point in result.losses] == [1, 4, 8, 10]
    assert [write.step for write in result.checkpoints] == [10]
    assert (result.checkpoint, result.parameters) == ("train/ckpt-10", 7)
    (part,) = result.parts
    assert (part.first_step, part.last_step) == (1, 10)
    assert (part.first_measured, part.last_measured) == (4, 10)


def test_evaluations_at_their_steps_and_at_the_end(trained, tmp_path):
    result, _ = trained("train.num_steps=10", "train.eval_every_steps=4", aps={4: 0.5, 8: 0.5})
    assert [point.step for point in result.evaluations] == [4, 8, 10]
    assert result.best_checkpoint == "train/best/ckpt-4"
    assert [path.name for path in (tmp_path / "train" / "best").iterdir()] == ["ckpt-4.data"]
    events = [e for e in read_events(tmp_path / "events.jsonl") if e["event"] == "eval_point"]
    assert [(e["step"], e["AP"], e["best"]) for e in events] == [
        (4, 0.5, True),
        (8, 0.5, False),
        (10, None, False),
    ]


@pytest.mark.parametrize(("patience", "last"), [(1, 8), (2, 12), (3, 16), (4, 20)])
def test_early_stopping(trained, patience, last):
    aps = {4: 0.5, 8: 0.4, 12: 0.4, 16: 0.4, 20: 0.4}
    result, _ = trained(
        "train.num_steps=20",
        "train.eval_every_steps=4",
        f"train.early_stopping_patience={patience}",
        aps=aps,
    )
    assert (result.num_steps, result.stopped_early) == (last, last < 20)
    assert result.checkpoint == f"train/ckpt-{last}"
    assert result.best_checkpoint == "train/best/ckpt-4"


def test_early_stopping_waits_for_two_measured_steps(trained):
    # the measured ones begin at step 4
    options = ("train.num_steps=20", "train.eval_every_steps=1", "train.early_stopping_patience=1")
    result, _ = trained(*options, aps=dict.fromkeys(range(1, 21), 0.5))
    assert result.num_steps == 5


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_step_ends_it_after_a_checkpoint(trained, tmp_path, how):
    before = signal.getsignal(how)
    with pytest.raises(KeyboardInterrupt):
        trained("train.num_steps=20", after=interrupt_at(6, how))
    assert signal.getsignal(how) is before
    assert read_course(tmp_path).num_steps == 6
    result, engine = trained("train.num_steps=20")
    assert engine.done == list(range(7, 21))  # nothing is lost
    assert result.num_steps == 20


def test_the_first_step_of_a_process_is_given_up(trained, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trained("train.num_steps=20", after=interrupt_at(1, signal.SIGTERM))
    assert read_course(tmp_path) is None
    assert trained("train.num_steps=20")[1].done == list(range(1, 21))


@pytest.fixture(autouse=True)
def _sigterm_as_interrupt():
    """As in the child of a run."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


class Killed(BaseException):
    """Stands for kill -9: nothing is tidied up."""


def kill_at(number):
    def strike(step):
        if step == number:
            raise Killed

    return strike


def test_after_a_kill_steps_are_trained_again_and_counted_once(trained):
    options = ("train.num_steps=20", "train.checkpoint_every_steps=5", "train.loss_every_steps=1")
    with pytest.raises(Killed):
        trained(*options, after=kill_at(9))
    result, engine = trained(*options)
    assert engine.done == list(range(6, 21))
    # 4 and 5 of the first part; of the second, 6 traces and 7 and 8 warm up
    assert result.compute_s == [4.0, 5.0, *map(float, range(9, 21))]
    assert [point.step for point in result.losses] == list(range(1, 21))
    assert [write.step for write in result.checkpoints] == [5, 10, 15, 20]
    assert (result.first_step_s, result.warmup_step_s, result.restore_s) == (1.0, [2.0, 3.0], None)
    first, second = result.parts
    assert (first.first_step, first.last_step) == (1, 5)
    assert (second.first_step, second.last_step) == (6, 20)
    assert (second.first_measured, second.last_measured) == (9, 20)
    assert (second.restore_s, second.first_step_s) == (0.5, 6.0)
    assert first.seed != second.seed


def test_an_evaluation_that_was_cut_off_is_made_up_for(trained):
    options = ("train.num_steps=8", "train.eval_every_steps=4")

    class Cut(dict):
        def get(self, step):
            raise Killed

    with pytest.raises(Killed):
        trained(*options, aps=Cut({0: 0}))
    result, engine = trained(*options, aps={4: 0.9, 8: 0.1})
    assert engine.done == [5, 6, 7, 8]
    assert [point.step for point in result.evaluations] == [4, 8]
    assert result.best_checkpoint == "train/best/ckpt-4"


def test_a_break_after_the_last_step_trains_nothing(trained):
    first, _ = trained("train.num_steps=8")
    again, engine = trained("train.num_steps=8")
    assert engine.done == []
    assert dataclasses.replace(again, parts=first.parts) == first
    assert len(again.parts) == 1


def test_a_stop_that_was_decided_stays(trained):
    options = ("train.num_steps=20", "train.eval_every_steps=4", "train.early_stopping_patience=1")
    first, _ = trained(*options, aps={4: 0.5, 8: 0.4})
    again, engine = trained(*options)
    assert (first.num_steps, again.num_steps, engine.done) == (8, 8, [])


def test_a_checkpoint_that_is_gone_is_said(trained, tmp_path):
    trained("train.num_steps=8")
    for path in checkpoint_files(tmp_path / "train" / "ckpt-8"):
        path.unlink()
    with pytest.raises(RunError, match="gone") as caught:
        read_course(tmp_path)
    assert "train/ckpt-8" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"num_steps": 3})])
def test_progress_that_cannot_be_read_is_said(tmp_path, text):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "progress.json").write_text(text)
    with pytest.raises(RunError, match="cannot be read"):
        read_course(tmp_path)


def test_files_of_a_checkpoint_are_not_those_of_a_longer_number(tmp_path):
    for name in ("ckpt-5.index", "ckpt-5.data-00000-of-00001", "ckpt-50.index"):
        (tmp_path / name).touch()
    names = [path.name for path in checkpoint_files(tmp_path / "ckpt-5")]
    assert names == ["ckpt-5.data-00000-of-00001", "ckpt-5.index"]


def test_best_takes_no_room_twice_and_replaces_the_one_before(tmp_path):
    (tmp_path / "train").mkdir()
    for step in (1, 2):
        (tmp_path / "train" / f"ckpt-{step}.index").write_text(str(step))
        assert keep_best(tmp_path, f"train/ckpt-{step}") == f"train/best/ckpt-{step}"
    (kept,) = (tmp_path / "train" / "best").iterdir()
    assert kept.samefile(tmp_path / "train" / "ckpt-2.index")


def test_the_chosen_checkpoint(trained):
    result, _ = trained("train.num_steps=8", "train.eval_every_steps=4", aps={4: 0.9, 8: 0.1})
    assert chosen_checkpoint(result, CheckpointChoice.last) == "train/ckpt-8"
    assert chosen_checkpoint(result, CheckpointChoice.best) == "train/best/ckpt-4"
    with pytest.raises(RunError, match="no such checkpoint"):
        chosen_checkpoint(dataclasses.replace(result, best_checkpoint=None), CheckpointChoice.best)
