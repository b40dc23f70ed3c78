from dataclasses import replace

import pytest
from factories import make_part, make_point, make_record

from odbench import derive
from odbench.results import CheckpointWrite, Flag, LossPoint, Stage, StageUsage

LEGAL = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./ ")


def with_train(record, **changes):
    return replace(record, train=replace(record.train, **changes))


def test_train_metrics_by_hand():
    record = make_record()
    train = replace(
        record.train,
        batch_size=4,
        input_wait_s=[0.1, 0.1, 0.1, 0.1],
        compute_s=[0.4, 0.4, 0.4, 0.4],
        warmup_step_s=[1.0, 2.0],
        checkpoints=[CheckpointWrite(7, 0.5), CheckpointWrite(9, 0.25)],
    )
    metrics = derive.train_metrics(train)
    assert metrics["train/step_s_mean"] == pytest.approx(0.5)
    assert metrics["train/step_s_p50"] == pytest.approx(0.5)
    assert metrics["train/step_s_p90"] is None  # four samples
    assert metrics["train/images_per_s"] == pytest.approx(8.0)
    assert metrics["train/time_1000_steps_s"] == pytest.approx(500.0)
    assert metrics["train/time_1000_steps_low_s"] == pytest.approx(500.0)  # no spread
    assert metrics["train/warmup_s"] == 3.0
    assert metrics["train/checkpoint_s"] == 0.75
    assert metrics["train/measured_steps"] == 4


def test_latency_is_in_milliseconds():
    record = make_record()
    metrics = derive.latency_metrics(replace(record.latency, latency_s=[0.02] * 100))
    assert metrics["latency/p50_ms"] == pytest.approx(20.0)
    assert metrics["latency/p99_ms"] == pytest.approx(20.0)
    assert metrics["latency/images_per_s"] == pytest.approx(50.0)


def test_every_name_is_legal_in_mlflow():
    assert all(set(name) <= LEGAL for name in derive.metrics(make_record()))


def test_a_partial_evaluation_has_no_ap():
    record = make_record()
    images = record.eval.images_in_set
    record = replace(record, eval=replace(record.eval, images_evaluated=images - 1))
    assert derive.metrics(record)["eval/AP"] is None
    assert Flag.partial_eval in derive.flags(record)


def test_a_run_without_stages_has_no_stage_metrics():
    record = replace(make_record(), train=None, eval=None, export=None, latency=None, usage={})
    assert set(derive.metrics(record)) == {"run/wall_s"}
    assert derive.flags(record) == []


@pytest.mark.parametrize(("steps", "flagged"), [(999, True), (1000, False)])
def test_projection_below_a_thousand_steps(steps, flagged):
    samples = [0.1] * steps
    record = with_train(make_record(), input_wait_s=samples, compute_s=samples)
    assert (Flag.projection in derive.flags(record)) == flagged


def test_flags_of_the_train_stage():
    record = make_record()
    first = 1 + len(record.train.warmup_step_s)
    inside = with_train(record, checkpoints=[CheckpointWrite(first + 1, 0.1)])
    assert Flag.checkpoint_in_window in derive.flags(inside)
    last = first + len(record.train.compute_s)
    after = with_train(record, checkpoints=[CheckpointWrite(last, 0.1)])
    assert Flag.checkpoint_in_window not in derive.flags(after)
    shrunk = with_train(record, batch_size=record.batch_size - 1)
    assert Flag.batch_shrunk in derive.flags(shrunk)
    diverged = with_train(record, losses=[LossPoint(1, 0.1, {"Loss/total_loss": None})])
    assert Flag.diverged in derive.flags(diverged)


@pytest.mark.parametrize(
    ("usage", "flag"),
    [
        (StageUsage(1.0, other_cpu_cores=0.5), Flag.busy_device),
        (StageUsage(10.0, cpu_s=18.0, stolen_cpu_cores=0.2), Flag.stolen_cpu),
        (StageUsage(1.0, throttled=True), Flag.throttled),
    ],
)
def test_flags_of_the_machine(usage, flag):
    record = replace(make_record(), usage={Stage.train: usage})
    assert flag in derive.flags(record)
    assert flag not in derive.flags(replace(record, usage={Stage.train: StageUsage(1.0)}))


def test_the_best_of_the_evaluations_is_the_earliest_of_equals():
    points = [make_point(10, None), make_point(20, 0.5), make_point(30, 0.5), make_point(40, 0.1)]
    metrics = derive.train_metrics(with_train(make_record(), evaluations=points).train)
    assert (metrics["train/best_AP"], metrics["train/best_step"]) == (0.5, 20)
    assert (metrics["train/evaluations"], metrics["train/evaluations_s"]) == (4, 8.0)
    assert "train/best_AP" not in derive.train_metrics(make_record().train)


@pytest.mark.parametrize(
    ("step", "flagged"),
    # the measured steps of the parts are 12 to 500 and 512 to 1011
    [(11, False), (12, True), (499, True), (500, False), (511, False), (512, True), (1011, False)],
)
def test_what_comes_between_measured_steps_of_one_part_is_flagged(step, flagged):
    parts = [make_part(1, 500), make_part(501, 1011)]
    record = with_train(make_record(), parts=parts, evaluations=[make_point(step, 0.1)])
    assert (Flag.eval_in_window in derive.flags(record)) == flagged
    record = with_train(make_record(), parts=parts, checkpoints=[CheckpointWrite(step, 0.1)])
    assert (Flag.checkpoint_in_window in derive.flags(record)) == flagged
    assert Flag.resumed in derive.flags(record)


def test_a_part_without_measured_steps_has_no_window():
    parts = [make_part(1, 5, first_measured=None, last_measured=None), make_part(6, 1011)]
    record = with_train(make_record(), parts=parts, evaluations=[make_point(3, 0.1)])
    assert Flag.eval_in_window not in derive.flags(record)


def test_masks_and_keypoints_have_keys_of_their_own():
    record = make_record()
    assert not [name for name in derive.metrics(record) if "mask_" in name or "keypoint_" in name]
    more = {"mask_metrics": {"AP": 0.25, "AP50": None}, "keypoint_metrics": {"AR": 0.5}}
    evaluation = replace(record.eval, **more, postprocess_s=1.5)
    metrics = derive.eval_metrics(evaluation)
    assert metrics["eval/mask_AP"] == 0.25
    assert metrics["eval/mask_AP50"] is None
    assert metrics["eval/keypoint_AR"] == 0.5
    assert metrics["eval/postprocess_s"] == 1.5
    assert metrics["eval/AP"] == record.eval.metrics["AP"]
    part = replace(evaluation, images_evaluated=record.eval.images_in_set - 1)
    assert derive.eval_metrics(part)["eval/mask_AP"] is None
