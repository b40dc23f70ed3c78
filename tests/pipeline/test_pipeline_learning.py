"""Learning rate and schedule of a run, with numbers worked out by hand."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odbench.config.compose import compose_spec
from odbench.config.spec import ModelSpec, OptimizerSpec, TrainSpec
from odbench.errors import PipelineError
from odbench.pipeline.build import base_proto
from odbench.pipeline.fields import Editor, get
from odbench.pipeline.learning import fit_learning_rate
from odbench.results import Edit

SPEC = compose_spec(["timing.warmup_steps=0"])
SGD = "train_config.optimizer.momentum_optimizer.learning_rate"
COSINE = {
    "learning_rate_base": 0.08,
    "total_steps": 50000,
    "warmup_learning_rate": 0.02,
    "warmup_steps": 1000,
}


def fit(kind, schedule, *, batch=8, steps=500, base_batch=32, base_steps=50000, **optimizer):
    """Edits to a schedule published for batch 32 and 50000 steps; values by their short names."""
    train = {
        "batch_size": base_batch,
        "num_steps": base_steps,
        "optimizer": {"momentum_optimizer": {"learning_rate": {f"{kind}_learning_rate": schedule}}},
    }
    spec = replace(
        SPEC,
        model=ModelSpec("m", "ssd", False, pipeline={"train_config": train}),
        train=TrainSpec(batch_size=batch, num_steps=steps),
        optimizer=OptimizerSpec(**optimizer),
    )
    editor = Editor(base_proto(spec.model))
    fit_learning_rate(editor, spec)
    prefix = f"{SGD}.{kind}_learning_rate."
    assert all(edit.field.startswith(prefix) for edit in editor.edits)
    edits = [Edit(e.field.removeprefix(prefix), e.old, e.new) for e in editor.edits]
    return edits, get(editor.proto, prefix.removesuffix("."))


def refuse(*args, **kwargs):
    with pytest.raises(PipelineError) as caught:
        fit(*args, **kwargs)
    return caught.value


def test_cosine_is_stretched_and_scaled():
    edits, _ = fit("cosine_decay", COSINE)
    assert edits == [
        Edit("total_steps", 50000, 500),  # 500 of 50000 steps: a hundredth
        Edit("warmup_steps", 1000, 10),
        Edit("learning_rate_base", 0.08, 0.02),  # batch 8 of 32: a quarter
        Edit("warmup_learning_rate", 0.02, 0.005),
    ]


def test_warm_up_keeps_one_step():
    _, values = fit("cosine_decay", COSINE, steps=20)
    assert (values["total_steps"], values["warmup_steps"]) == (20, 1)  # 0.4 of a step


def test_warm_up_ends_before_a_very_short_training():
    _, values = fit("cosine_decay", COSINE | {"warmup_steps": 49000}, steps=2)
    assert (values["total_steps"], values["warmup_steps"]) == (2, 1)


def test_no_warm_up_stays_none():
    _, values = fit("cosine_decay", COSINE | {"warmup_steps": 0}, steps=2)
    assert values["warmup_steps"] == 0


def test_held_steps_are_stretched_and_leave_a_step_to_decay_in():
    _, values = fit("cosine_decay", COSINE | {"hold_base_rate_steps": 4000}, steps=500)
    assert values["hold_base_rate_steps"] == 40
    _, values = fit("cosine_decay", COSINE | {"hold_base_rate_steps": 4000}, steps=2)
    assert (values["warmup_steps"], values["hold_base_rate_steps"]) == (1, 0)


def test_defaults_of_the_proto_are_stretched_too():
    edits, _ = fit("cosine_decay", {}, batch=32, base_steps=4000000, steps=4000)
    assert edits == [Edit("total_steps", None, 4000), Edit("warmup_steps", None, 10)]


def test_manual_steps():
    schedule = [
        {"step": 90000, "learning_rate": 1e-4},
        {"step": 120000, "learning_rate": 1e-5},
    ]
    values = {"initial_learning_rate": 1e-3, "schedule": schedule}
    edits, _ = fit("manual_step", values, base_batch=16, base_steps=140000, steps=1400)
    assert edits == [
        Edit("schedule[0].step", 90000, 900),
        Edit("schedule[1].step", 120000, 1200),
        Edit("initial_learning_rate", 0.001, 0.0005),
        Edit("schedule[0].learning_rate", 0.0001, 0.00005),
        Edit("schedule[1].learning_rate", 0.00001, 0.000005),
    ]


def test_manual_steps_that_fall_together_are_kept_apart():
    schedule = [{"step": step, "learning_rate": 0.1} for step in (100, 200, 300)]
    _, values = fit("manual_step", {"schedule": schedule}, base_steps=1000, steps=2)
    assert [item["step"] for item in values["schedule"]] == [1, 2, 3]


def test_exponential_decay():
    values = {
        "initial_learning_rate": 0.004,
        "decay_steps": 800,
        "burnin_learning_rate": 0.002,
        "burnin_steps": 100,
        "min_learning_rate": 0.0004,
        "decay_factor": 0.95,
    }
    edits, fitted = fit("exponential_decay", values, batch=64, base_steps=1000, steps=500)
    assert edits == [
        Edit("decay_steps", 800, 400),
        Edit("burnin_steps", 100, 50),
        Edit("initial_learning_rate", 0.004, 0.008),
        Edit("burnin_learning_rate", 0.002, 0.004),
        Edit("min_learning_rate", 0.0004, 0.0008),
    ]
    assert fitted["decay_factor"] == 0.95


def test_constant_rate_has_no_schedule_to_stretch():
    edits, _ = fit("constant", {"learning_rate": 0.01}, base_steps=0)
    assert edits == [Edit("learning_rate", 0.01, 0.0025)]


def test_a_learning_rate_that_is_asked_for_is_taken_as_it_is():
    edits, _ = fit("cosine_decay", COSINE, learning_rate=0.04, scale_schedule=False)
    assert edits == [
        Edit("learning_rate_base", 0.08, 0.04),  # not scaled to the batch
        Edit("warmup_learning_rate", 0.02, 0.01),
    ]


def test_published_rate_and_schedule_can_be_kept():
    edits, _ = fit("cosine_decay", COSINE, scale_to_batch=False, scale_schedule=False)
    assert edits == []


def test_published_batch_and_steps_change_nothing():
    assert fit("cosine_decay", COSINE, batch=32, steps=50000)[0] == []


@pytest.mark.parametrize("scale_schedule", [True, False])
def test_warm_up_longer_than_the_schedule_is_refused(scale_schedule):
    error = refuse("cosine_decay", COSINE | {"total_steps": 900}, scale_schedule=scale_schedule)
    assert error.where == f"model.pipeline.{SGD}.cosine_decay_learning_rate.warmup_steps"
    assert error.value == "1000"
    assert "total_steps=900" in error.allowed


def test_warm_up_from_above_the_base_rate_is_refused():
    error = refuse("cosine_decay", COSINE | {"learning_rate_base": 0.01})
    assert error.where.endswith("cosine_decay_learning_rate.warmup_learning_rate")
    assert error.allowed == "<= learning_rate_base=0.01"
    assert "optimizer.learning_rate" in error.fix


@pytest.mark.parametrize("steps", [(0, 5), (5, 5), (9, 5)])
def test_manual_steps_that_do_not_increase_are_refused(steps):
    error = refuse("manual_step", {"schedule": [{"step": step} for step in steps]})
    assert error.where.endswith("manual_step_learning_rate.schedule")
    assert error.value == ", ".join(map(str, steps))


def test_nothing_to_scale_from_is_refused():
    assert refuse("cosine_decay", COSINE, base_steps=0).where == (
        "model.pipeline.train_config.num_steps"
    )
    assert refuse("cosine_decay", COSINE, base_batch=0).where == (
        "model.pipeline.train_config.batch_size"
    )


@pytest.mark.parametrize(
    ("optimizer", "where"),
    [
        ({}, "model.pipeline.train_config.optimizer"),
        ({"adam_optimizer": {}}, "model.pipeline.train_config.optimizer.adam_optimizer"),
    ],
)
def test_no_optimizer_or_no_rate_is_refused(optimizer, where):
    model = ModelSpec("m", "ssd", False, pipeline={"train_config": {"optimizer": optimizer}})
    with pytest.raises(PipelineError) as caught:
        fit_learning_rate(Editor(base_proto(model)), replace(SPEC, model=model))
    assert caught.value.where.startswith(where)


@settings(max_examples=60)
@given(
    batch=st.integers(1, 4096),
    steps=st.integers(2, 10**6),
    warmup=st.integers(0, 49999),
)
def test_rate_follows_the_batch_and_warm_up_ends_in_time(batch, steps, warmup):
    schedule = COSINE | {"warmup_steps": warmup}
    _, values = fit("cosine_decay", schedule, batch=batch, steps=steps)
    assert values["learning_rate_base"] / batch == pytest.approx(0.08 / 32, rel=1e-6)
    assert values["warmup_learning_rate"] / values["learning_rate_base"] == pytest.approx(
        0.25, rel=1e-6
    )
    assert values["total_steps"] == steps
    assert values["warmup_steps"] < values["total_steps"]
    assert (values["warmup_steps"] > 0) == (warmup > 0)


@settings(max_examples=60)
@given(
    boundaries=st.lists(st.integers(1, 10**6), min_size=1, max_size=6, unique=True).map(sorted),
    steps=st.integers(2, 10**6),
)
def test_manual_steps_always_increase(boundaries, steps):
    schedule = [{"step": step, "learning_rate": 0.1} for step in boundaries]
    _, values = fit("manual_step", {"schedule": schedule}, steps=steps)
    fitted = [0, *(item["step"] for item in values["schedule"])]
    assert all(a < b for a, b in pairwise(fitted))
