import pytest

from odbench.config.compose import compose_spec
from odbench.config.fingerprint import fingerprint, stable_hash, variant


def of(*overrides, data="d", protocol=1):
    return fingerprint(compose_spec(list(overrides)), data, protocol)


@pytest.mark.parametrize(
    "override",
    [
        "runtime.device=gpu:3",
        "runtime.timeout_s=9",
        "paths.runs_dir=/elsewhere",
        "tracking.experiment=other",
        "name=other",
        "train.loss_every_steps=7",
        "eval.engine=faster_coco_eval",
    ],
)
def test_what_changes_no_result_changes_no_identity(override):
    assert of(override) == of()


def test_where_a_data_set_lies_does_not_change_identity():
    here, there = (of("dataset=voc", f"dataset.dir=/{place}") for place in ("here", "there"))
    assert here == there


@pytest.mark.parametrize(
    "override",
    [
        "model=efficientdet_d0",
        "model.pipeline.train_config.max_number_of_boxes=5",
        "train.batch_size=4",
        "train.num_steps=500",
        "optimizer.learning_rate=0.5",
        "augmentation=flip",
        "timing.measured_steps=5",
        "runtime.xla=true",
        "seed=1",
        "backend=replay",
    ],
)
def test_what_changes_results_changes_identity(override):
    assert of(override) != of()


def test_repeats_share_their_variant_alone():
    runs = [("seed=1",), ("seed=2",), ("repeat=1",), ("repeats=5",)]
    variants = {variant(compose_spec(list(each)), "d", 1) for each in runs}
    assert len(variants) == 1
    assert len({of(*each) for each in runs}) == 4
    assert of("repeats=5") == of()
    assert variant(compose_spec(["train.batch_size=4"]), "d", 1) not in variants


def test_data_and_protocol_belong_to_it():
    assert len({of(), of(data="e"), of(protocol=2)}) == 3


def test_hash_ignores_the_order_of_keys():
    assert stable_hash({"a": 1, "b": 2}) == stable_hash({"b": 2, "a": 1})
