"""Every rule of the linter: one configuration that it lets pass, and ones that it does not."""

import pytest
from google.protobuf import text_format
from lint_cases import BAD, CHECKPOINT, EXTRACTOR, FINE, FIXED, GOOD, TRAIN, hourglass
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.pipeline.fields import Editor
from odbench.pipeline.lint import RULES, lint_proto
from odbench.pipeline.lint_types import LintContext, Severity


@pytest.fixture
def config(tmp_path):
    """Makes a configuration that is good but for the fields given."""
    for name in ("ckpt-0.index", "train-0.tfrecord", "val.tfrecord"):
        (tmp_path / name).touch()
    items = "".join(f'item {{ name: "{name}" id: {i} }}' for i, name in enumerate("ab", start=1))
    (tmp_path / "map.pbtxt").write_text(items)

    def make(fields):
        editor = Editor(text_format.Parse(GOOD % {"dir": tmp_path}, TrainEvalPipelineConfig()))
        for path, value in fields.items():
            editor.clear(path) if value is None else editor.set(path, value)
        return editor.proto

    return make


def found(proto, **context):
    findings = lint_proto(proto, LintContext(**context))
    return [(f.rule, f.path, f.severity.value) for f in findings]


@pytest.mark.parametrize(("rule", "fields", "path", "severity"), BAD)
def test_found(config, rule, fields, path, severity):
    assert (rule, path, severity) in found(config(fields))


@pytest.mark.parametrize("fields", FINE)
def test_let_pass(config, fields):
    assert found(config(fields)) == []


def test_every_rule_has_a_case_and_says_what_it_asks_for():
    assert {rule.__name__ for rule in RULES} == {case[0] for case in BAD}
    assert all(rule.__doc__ and rule.__doc__.splitlines()[0].endswith(".") for rule in RULES)


def test_a_batch_must_be_shared_evenly(config):
    assert found(config({}), replicas=4) == []
    assert found(config({}), replicas=3) == [("batch_size", "train_config.batch_size", "error")]


def test_what_a_run_replaces_is_not_mentioned(config):
    published = {
        f"{TRAIN}.sync_replicas": True,
        f"{TRAIN}.replicas_to_aggregate": 8,
        f"{TRAIN}.max_number_of_boxes": 50,
    }
    assert len(found(config(published))) == 2
    assert found(config(published), of_run=True) == []


def test_a_suggested_size_fits(config):
    proto = config({f"{FIXED}.height": 300})
    (finding,) = lint_proto(proto, LintContext())
    assert "288 or 320" in finding.fix
    for size in (288, 320):
        assert found(config({f"{FIXED}.height": size})) == []


def test_a_suggested_size_is_a_multiple(config):
    fixes = {f.fix for f in lint_proto(config(hourglass(544)), LintContext())}
    assert fixes == {"take 640, or another extractor"}
    assert found(config(hourglass(640))) == []


def test_the_name_that_tensorflow_2_has_is_given(config):
    (finding,) = lint_proto(config({f"{EXTRACTOR}.type": "ssd_resnet50_v1_fpn"}), LintContext())
    assert finding.fix == "take ssd_resnet50_v1_fpn_keras"


def test_a_checkpoint_of_tensorflow_1_is_told_by_its_graph(config, tmp_path):
    (tmp_path / "ckpt-0.meta").touch()
    (finding,) = lint_proto(config({}), LintContext())
    assert (finding.rule, finding.severity) == ("checkpoint_file", Severity.error)
    assert "TensorFlow 1" in finding.what


def test_a_folder_of_checkpoints(config, tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    proto = config({CHECKPOINT: str(folder)})
    assert [rule for rule, _, _ in found(proto)] == ["checkpoint_file"]
    (folder / "checkpoint").touch()
    assert found(proto) == []


def test_an_empty_configuration_has_no_traceback():
    rules = {rule for rule, _, _ in found(TrainEvalPipelineConfig())}
    assert {"architecture", "readers", "num_steps", "optimizer"} <= rules
