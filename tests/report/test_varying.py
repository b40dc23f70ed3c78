from factories import MODEL, make_spec

from odbench.config.spec import AugmentationSpec, PathsSpec, TimingSpec, TrackingSpec, TrainSpec
from odbench.report.varying import value_shown, value_text, varying_paths


def test_nothing_varies_between_equal_specifications():
    assert varying_paths([make_spec(), make_spec()]) == []


def test_fields_are_found_by_their_dotted_path_in_order():
    other = make_spec(batch_size=4, parts={"timing": TimingSpec(warmup_steps=3), "seed": 1})
    assert varying_paths([make_spec(), other, make_spec()]) == [
        "train.batch_size",
        "timing.warmup_steps",
        "seed",
    ]


def test_name_paths_and_tracking_are_left_out():
    parts = {
        "name": "x",
        "paths": PathsSpec(runs_dir="elsewhere"),
        "tracking": TrackingSpec(experiment="other"),
    }
    assert varying_paths([make_spec(), make_spec(parts=parts)]) == []


def test_the_pipeline_is_left_out_only_between_different_models():
    one = make_spec()
    one["model"]["pipeline"] = {"train_config": {"max_number_of_boxes": 50}}
    assert varying_paths([make_spec(), one]) == [
        "model.pipeline.model",
        "model.pipeline.train_config",
    ]
    one["model"]["name"] = "efficientdet_d0"
    assert varying_paths([make_spec(), one]) == ["model.name"]


def test_values_are_written_as_on_the_command_line():
    spec = make_spec(parts={"train": TrainSpec(batch_size=4, num_steps=None)})
    assert value_text(spec, "model.name") == MODEL
    assert value_text(spec, "train.batch_size") == "4"
    assert value_text(spec, "train.num_steps") == "null"
    assert value_text(spec, "model.zoo") == "true"
    assert value_text(spec, "tracking.tags") == "{}"
    assert value_text(spec, "model.pipeline.nosuch.field") == "\u2013"


def test_augmentation_is_called_what_it_is():
    published, none = (
        make_spec(parts={"augmentation": AugmentationSpec(given)}) for given in (None, [])
    )
    assert value_shown(published, "augmentation.options") == "as published"
    assert value_shown(none, "augmentation.options") == "none"
    assert value_shown(none, "train.num_steps") == value_text(none, "train.num_steps")
