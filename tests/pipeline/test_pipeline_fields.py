"""Values of a proto by dotted path."""

import pytest
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.errors import PipelineError
from odbench.pipeline.fields import Editor, clear, effective, flatten, get, put, which
from odbench.results import Edit


@pytest.fixture
def proto():
    made = TrainEvalPipelineConfig()
    made.train_config.batch_size = 8
    made.train_config.fine_tune_checkpoint_version = 2
    made.train_config.optimizer.moving_average_decay = 0.1
    made.train_config.data_augmentation_options.add().random_horizontal_flip.SetInParent()
    made.train_config.freeze_variables.extend(["a", "b"])
    made.eval_input_reader.add().shuffle = False
    return made


def test_get_returns_json_values(proto):
    assert get(proto, "train_config.batch_size") == 8
    assert get(proto, "train_config.fine_tune_checkpoint_version") == "V2"
    assert get(proto, "train_config.optimizer.moving_average_decay") == 0.1  # not 0.10000000149
    assert get(proto, "train_config.freeze_variables") == ["a", "b"]
    assert get(proto, "train_config.data_augmentation_options") == [{"random_horizontal_flip": {}}]
    assert get(proto, "eval_input_reader[0].shuffle") is False
    assert get(proto, "eval_input_reader[0]") == {"shuffle": False}


def test_what_is_not_set_is_none_or_an_empty_list(proto):
    assert get(proto, "train_config.num_steps") is None
    assert get(proto, "model.ssd.num_classes") is None
    assert get(proto, "eval_input_reader[1].shuffle") is None
    assert get(proto, "eval_input_reader[1]") is None
    assert get(proto, "train_input_reader.tf_record_input_reader.input_path") == []
    assert not proto.HasField("model")
    assert len(proto.eval_input_reader) == 1


def test_effective_falls_back_to_the_default(proto):
    assert effective(proto, "train_config.batch_size") == 8
    assert effective(proto, "eval_config.batch_size") == 1


@pytest.mark.parametrize("path", ["train_config.nosuch", "nosuch.batch_size", "a b", ""])
def test_a_path_that_names_no_field(proto, path):
    for call in (get, effective, clear):
        with pytest.raises(KeyError):
            call(proto, path)
    with pytest.raises(KeyError):
        put(proto, path, 1)


def test_put_creates_what_is_on_the_way(proto):
    put(proto, "train_input_reader.tf_record_input_reader.input_path", ["x", "y"])
    put(proto, "eval_input_reader[1].num_epochs", 1)
    assert list(proto.train_input_reader.tf_record_input_reader.input_path) == ["x", "y"]
    assert proto.eval_input_reader[1].num_epochs == 1
    with pytest.raises(KeyError):
        put(proto, "eval_input_reader[7].num_epochs", 1)


def test_put_replaces_messages_and_lists_as_a_whole(proto):
    put(proto, "train_config.data_augmentation_options", [{"ssd_random_crop": {}}])
    put(proto, "train_config.optimizer", {"use_moving_average": True})
    assert get(proto, "train_config.data_augmentation_options") == [{"ssd_random_crop": {}}]
    assert get(proto, "train_config.optimizer") == {"use_moving_average": True}


def test_put_refuses_what_does_not_fit_and_leaves_the_old_value(proto):
    with pytest.raises(PipelineError) as caught:
        put(proto, "train_config.batch_size", -1)
    assert caught.value.where == "model.pipeline.train_config.batch_size"
    assert proto.train_config.batch_size == 8


def test_which_member_of_a_oneof(proto):
    assert which(proto, "model", "model") is None
    put(proto, "model.ssd.num_classes", 3)
    assert which(proto, "model", "model") == "ssd"


def test_flatten_gives_every_value_that_is_set(proto):
    assert flatten(proto) == {
        "train_config.batch_size": 8,
        "train_config.fine_tune_checkpoint_version": "V2",
        "train_config.optimizer.moving_average_decay": 0.1,
        "train_config.data_augmentation_options[0].random_horizontal_flip": {},
        "train_config.freeze_variables": ["a", "b"],
        "eval_input_reader[0].shuffle": False,
    }
    assert flatten(TrainEvalPipelineConfig()) == {}


def test_flatten_agrees_with_get(proto):
    for path, value in flatten(proto).items():
        assert get(proto, path) == value


def test_editor_records_real_changes_only(proto):
    editor = Editor(proto)
    editor.set("train_config.batch_size", 8)
    editor.clear("train_config.num_steps")
    assert editor.edits == []
    editor.set("train_config.batch_size", 16)
    editor.clear("train_config.freeze_variables")
    assert editor.edits == [
        Edit("train_config.batch_size", 8, 16),
        Edit("train_config.freeze_variables", ["a", "b"], []),
    ]
    assert proto.train_config.batch_size == 8
