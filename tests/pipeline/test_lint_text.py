"""Text with fields that the API does not have: all of them are found, and the rest is read."""

import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.errors import PipelineError
from odbench.pipeline.lint import lint_file, lint_text
from odbench.pipeline.lint_text import parse_tolerantly
from odbench.pipeline.lint_types import LintContext

OLD = """\
# a configuration of 2018
model {
  ssd {
    num_classes: 3
    weight_regression_loss_by_score: true
    feature_extractor {
      type: "ssd_mobilenet_v1"  # a brace that is none: {
      batch_norm_trainable: true
    }
  }
}
eval_input_reader { shuffle: false }
eval_input_reader < label_map: "a" 'b}' num_epochs: 1 >
train_config {
  batch_sizes: 8, num_steps: 5
  nosuch { a: "}" b { c: [1, 2] } } num_epochs: 1
}
"""


def test_every_unknown_field_is_found_with_its_line_and_path():
    proto, findings = parse_tolerantly(OLD)
    assert [(f.line, f.path) for f in findings] == [
        (5, "model.ssd.weight_regression_loss_by_score"),
        (8, "model.ssd.feature_extractor.batch_norm_trainable"),
        (13, "eval_input_reader[1].label_map"),
        (15, "train_config.batch_sizes"),
        (16, "train_config.nosuch"),
        (16, "train_config.num_epochs"),
    ]
    assert proto.model.ssd.feature_extractor.type == "ssd_mobilenet_v1"
    assert proto.train_config.num_steps == 5
    assert [reader.num_epochs for reader in proto.eval_input_reader] == [0, 1]


def test_what_became_of_a_field_is_said():
    _, findings = parse_tolerantly(OLD)
    fixes = {f.path.rpartition(".")[2]: f.fix for f in findings}
    assert "freeze_batchnorm" in fixes["batch_norm_trainable"]
    assert "label_map_path" in fixes["label_map"]
    assert fixes["batch_sizes"] == "did you mean batch_size?"
    assert fixes["nosuch"] == "remove it"
    assert "input_reader" in fixes["num_epochs"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("model { faster_rcnn { first_stage_only: true } }", "number_of_stages: 1"),
        (
            "model { center_net { object_detection_task { min_box_overlap_iou: 0.7 } } }",
            "object_center_params",
        ),
        ("eval_input_config { }", "eval_input_reader"),
        ("train_config { eval_config { } }", "the top level"),
    ],
)
def test_moved_fields(text, word):
    proto, (finding,) = parse_tolerantly(text)
    assert word in finding.fix
    assert proto is not None


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("model {\n  ssd {\n", 2, "Expected"),
        ("train_config {\n  batch_size: many\n}", 2, "integer"),
        ("train_config {\n  fine_tune_checkpoint_version: V9\n}", 2, "V9"),
        ("nosuch: 1\nmodel { ssd { } faster_rcnn { } }", 2, "faster_rcnn"),
    ],
)
def test_another_fault_ends_it_with_its_line(text, line, word):
    report = lint_text(text, "x", LintContext())
    finding = report.findings[-1]
    assert (finding.rule, finding.line) == ("text", line)
    assert word in finding.what
    assert len(report.findings) == (2 if "nosuch" in text else 1)


def test_unknown_fields_do_not_keep_the_rules_from_running():
    rules = {finding.rule for finding in lint_text(OLD, "x", LintContext()).findings}
    assert {"unknown_field", "extractor", "readers", "optimizer"} <= rules


NAMES = st.from_regex(r"zz[a-z]{1,5}", fullmatch=True)
SCALARS = st.sampled_from(["1", "-2.5e3", '"a } b"', "'{'", '"a" "b"', "true", "[1, 2]", "[]"])
VALUES = st.recursive(
    SCALARS.map(lambda value: f": {value}"),
    lambda inner: st.lists(st.tuples(NAMES, inner), max_size=2).map(
        lambda items: " { " + " # }\n".join(f"{name}{value}" for name, value in items) + "\n}"
    ),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES, st.sampled_from(["\n", " ", ", ", "; "])), max_size=5))
def test_unknown_fields_of_any_form_are_taken_out_whole(fields):
    inserted = "".join(f"{name}{value}{end}" for name, value, end in fields)
    text = f"train_config {{ batch_size: 7 {inserted}\n num_steps: 9 }}"
    proto, findings = parse_tolerantly(text)
    clean = "train_config { batch_size: 7 num_steps: 9 }"
    assert proto == text_format.Parse(clean, TrainEvalPipelineConfig())
    assert [f.path for f in findings] == [f"train_config.{name}" for name, _, _ in fields]


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="model {}<>[]:;,'\"#\\\n\t1zé", max_size=60))
def test_no_text_ends_in_a_traceback(text):
    report = lint_text(text, "x", LintContext())
    assert report.errors


@pytest.mark.parametrize("make", ["missing", "folder", "binary"])
def test_a_file_that_is_no_text(tmp_path, make):
    path = tmp_path / "pipeline.config"
    if make == "folder":
        path.mkdir()
    elif make == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PipelineError) as error:
        lint_file(path, LintContext())
    assert str(path) in str(error.value)
