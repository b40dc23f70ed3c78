import json
import math
from dataclasses import replace

import pytest
from factories import make_eval, make_failed, make_record, store_record
from hypothesis import given, settings
from hypothesis import strategies as st
from tracked import tracked_spec

from odbench import derive
from odbench.config.spec import AugmentationSpec, TrackingSpec, TrainSpec
from odbench.results import Edit, LossPoint, Stage, Status
from odbench.tracking import content
from odbench.tracking.note import run_note, sweep_note
from odbench.tracking.tags import run_tags


def curve(run, key):
    return [point for point in content.curves(run) if point.key == key]


def write_events(run, *events):
    lines = [e if isinstance(e, str) else json.dumps(e) for e in events]
    (run.dir / "events.jsonl").write_text("\n".join(lines))


class TestParams:
    def test_values_that_matter_are_flat_and_written_as_in_the_configuration(self):
        params = content.params(make_record(batch_size=4))
        assert params["train.batch_size"] == "4"
        assert params["train.num_steps"] == "1011"
        assert params["timing.measured_steps"] == "1000"
        assert params["optimizer.scale_to_batch"] == "true"
        assert params["optimizer.learning_rate"] == "null"
        assert params["dataset.kind"] == "shapes"
        assert params["model.published_batch_size"] == "128"
        assert params["dataset.hash"] == make_record().dataset.hash

    def test_pipeline_paths_and_limits_are_not_among_them(self):
        params = content.params(make_record())
        parts = {key.split(".")[0] for key in params}
        assert not parts & {"paths", "tracking", "replay"}
        assert not any("pipeline" in key or "_dir" in key for key in params)
        assert "runtime.timeout_s" not in params

    def test_a_run_that_ended_early_has_the_steps_it_was_told(self):
        params = content.params(make_failed(stage=Stage.train))
        assert params["train.num_steps"] == "1011"

    def test_batch_that_was_not_edited_is_the_published_one(self):
        params = content.params(make_record(batch_size=8, edits=[]))
        assert params["model.published_batch_size"] == "8"

    @pytest.mark.parametrize(
        ("options", "shown"),
        [
            (None, "as published"),
            ([], "off"),
            (
                [{"random_horizontal_flip": {}}, {"ssd_random_crop": {}}],
                "random_horizontal_flip, ssd_random_crop",
            ),
        ],
    )
    def test_augmentation_is_named(self, options, shown):
        record = make_record(spec={"augmentation": AugmentationSpec(options)})
        assert content.params(record)["augmentation"] == shown

    def test_no_value_is_longer_than_mlflow_takes(self):
        options = [{f"option_{i}": {}} for i in range(2000)]
        record = make_record(spec={"augmentation": AugmentationSpec(options)})
        lengths = [len(value) for value in content.params(record).values()]
        assert max(lengths) == content.PARAM_LENGTH

    def test_new_values_of_a_part_come_by_themselves(self):
        record = make_record(spec={"train": TrainSpec(batch_size=8, checkpoint_every_steps=7)})
        assert content.params(record)["train.checkpoint_every_steps"] == "7"


class TestMetrics:
    def test_all_that_was_measured_and_nothing_else(self):
        record = make_record()
        found = {point.key: point.value for point in content.metrics(record)}
        measured = {k: v for k, v in derive.metrics(record).items() if v is not None}
        assert {k: v for k, v in found.items() if "AP_class" not in k} == measured
        assert "eval/AP_large" not in found

    def test_ap_of_each_class_under_a_legal_name(self):
        per_class = {"traffic light (red)": 0.5, "bus": 0.25, "never there": None}
        record = make_record(eval=make_eval(per_class=per_class))
        found = {p.key: p.value for p in content.metrics(record) if "AP_class" in p.key}
        assert found == {
            "eval/AP_class/traffic light _red_": 0.5,
            "eval/AP_class/bus": 0.25,
        }

    def test_partial_evaluation_has_no_ap_of_any_class(self):
        record = make_record(eval=make_eval(images_evaluated=60))
        assert not [p for p in content.metrics(record) if "/AP" in p.key]

    def test_values_stand_at_the_end_of_the_run(self):
        record = make_record(started_at="2025-03-01T12:00:00Z", wall_s=1.5)
        assert content.times_ms(record) == (1740830400000, 1740830401500)
        assert {point.time_ms for point in content.metrics(record)} == {1740830401500}


class TestCurves:
    def test_points_have_the_steps_and_times_of_the_events(self, tmp_path):
        run = store_record(make_record(), tmp_path)
        write_events(
            run,
            {"t": 1740830401.25, "event": "stage_begin", "stage": "train"},
            {
                "t": 1740830402.5,
                "event": "loss",
                "stage": "train",
                "step": 20,
                "learning_rate": 0.08,
                "losses": {"Loss/total_loss": 1.5, "Loss/RPNLoss/a": None},
            },
        )
        assert content.curves(run) == [
            content.Point("train/loss/total_loss", 1.5, 1740830402500, 20),
            content.Point("train/learning_rate", 0.08, 1740830402500, 20),
        ]

    def test_a_killed_run_keeps_the_curve_until_then(self, tmp_path):
        run = store_record(make_failed(status=Status.failed), tmp_path)
        losses = {"Loss/total_loss": 2.0}
        write_events(
            run,
            {"t": 5.0, "event": "loss", "step": 1, "learning_rate": None, "losses": losses},
            '{"t": 6.0, "event": "loss", "st',
        )
        assert [(p.step, p.value) for p in content.curves(run)] == [(1, 2.0)]

    def test_without_events_the_record_has_the_curve(self, tmp_path):
        record = make_record()
        run = store_record(record, tmp_path)
        points = curve(run, "train/loss/total_loss")
        assert [point.step for point in points] == [loss.step for loss in record.train.losses]

    def test_values_that_are_not_finite_are_left_out(self, tmp_path):
        record = make_record()
        losses = [LossPoint(1, 0.1, {"Loss/total_loss": math.inf})]
        run = store_record(replace(record, train=replace(record.train, losses=losses)), tmp_path)
        assert [point.key for point in content.curves(run)] == ["train/learning_rate"]

    @given(name=st.text(min_size=1, max_size=60))
    @settings(max_examples=200, deadline=None)
    def test_mlflow_takes_the_name_of_any_loss(self, name):
        from mlflow.utils.validation import _validate_metric_name

        _validate_metric_name(content._loss_key(name))


class TestTags:
    def test_what_a_row_is_found_by(self, tmp_path):
        run = store_record(make_record(measured_steps=30), tmp_path)
        tags = run_tags(run, "name", "parent1")
        assert tags["odbench.status"] == "ok"
        assert tags["odbench.kind"] == "run"
        assert tags["odbench.flags"] == "projection"
        assert tags["odbench.git_dirty"] == "false"
        assert tags["odbench.protocol_version"] == "1"
        assert tags["odbench.hardware"] == run.record.hardware
        assert tags["odbench.run_dir"] == str(run.dir)
        assert tags["mlflow.parentRunId"] == "parent1"
        assert "odbench.reason" not in tags

    def test_a_tag_of_the_user_never_hides_one_of_ours(self, tmp_path):
        given = TrackingSpec(tags={"team": "vision", "odbench.status": "great"})
        record = make_record(spec={"tracking": given})
        tags = run_tags(store_record(record, tmp_path), "name")
        assert (tags["team"], tags["odbench.status"]) == ("vision", "ok")
        assert "mlflow.parentRunId" not in tags

    def test_a_reason_is_cut_to_length_and_holds_no_password(self, tmp_path):
        record = make_failed(reason="no answer of http://anna:hunter22@host/x " + "y" * 9000)
        tags = run_tags(store_record(record, tmp_path), "name")
        assert len(tags["odbench.reason"]) == content.TAG_LENGTH
        assert "hunter22" not in "".join(tags.values())


class TestNotes:
    def test_projection_says_so_with_its_interval(self):
        note = run_note(make_record(measured_steps=30), 8000)
        assert "(projected from 30 steps, 95 % " in note
        assert "| flags | projection |" in note

    def test_measured_time_and_units(self):
        note = run_note(make_record(), 8000)
        assert "projected" not in note
        assert "| exported size | 12.3 MB |" in note
        assert "| AP | 0.431 |" in note

    def test_what_was_not_measured_says_so(self):
        note = run_note(make_failed(stage=Stage.eval, reason="a | b\nc"), 8000)
        assert "| AP | not measured |" in note
        assert "| status | oom: a \\| b c |" in note

    def test_a_long_sweep_is_cut_at_a_row_and_counted(self, tmp_path):
        runs = [
            store_record(make_record(batch_size=4 * (i + 1), name=f"variant {i}"), tmp_path)
            for i in range(12)
        ]
        note = sweep_note(runs, 600, "#/experiments/1/runs")
        rows = [line for line in note.splitlines() if line.startswith("| variant")]
        assert len(note) <= 600
        assert 0 < len(rows) < 12
        assert note.endswith(f"and {12 - len(rows)} more rows")
        assert "](#/experiments/1/runs)" in note


def test_limits_are_mlflows_own():
    from mlflow.utils import validation

    assert content.PARAM_LENGTH == validation.MAX_PARAM_VAL_LENGTH
    assert content.TAG_LENGTH == validation.MAX_TAG_VAL_LENGTH


def test_published_batch_needs_a_published_model(tmp_path):
    spec = {"model": replace(tracked_spec(tmp_path).model, zoo=False)}
    record = make_record(spec=spec, edits=[Edit("train_config.batch_size", 16, 8)])
    assert "model.published_batch_size" not in content.params(record)
