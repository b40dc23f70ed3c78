"""The published configurations, of TensorFlow 2 and 1."""

import pytest

from odbench.config.compose import compose_spec
from odbench.pipeline.build import build_pipeline
from odbench.pipeline.lint import lint_file, lint_proto
from odbench.pipeline.lint_extractors import EXTRACTORS
from odbench.pipeline.lint_types import LintContext
from odbench.pipeline.read import read_pipeline

# One of each kind of input size and schedule; composing all of them takes long.
OURS = [
    "centernet_hg104_512x512",
    "efficientdet_d0",
    "faster_rcnn_resnet50_v1_800x1333",
    "ssd_mobilenet_v2_320x320",
    "ssd_mobilenet_v2_fpnlite_128x128",
]
# What a published file cannot know: where things are, and which devices train it.
EXPECTED = {"placeholders", "replicas", "bfloat16", "deprecated"}


@pytest.mark.shared
def test_published_files_have_placeholders_and_no_other_error(published_dir):
    paths = sorted(published_dir.glob("*.config"))
    assert len(paths) >= 40
    for path in paths:
        report = lint_file(path, LintContext())
        assert {f.rule for f in report.errors} == {"placeholders"}, path.name
        assert {f.rule for f in report.findings} <= EXPECTED, path.name


@pytest.mark.shared
def test_samples_of_tensorflow_1_name_what_tensorflow_2_cannot_build(published_dir):
    paths = sorted((published_dir.parent / "tf1").glob("*.config"))
    assert len(paths) >= 64
    buildable = {name for names in EXTRACTORS.values() for name in names}
    for path in paths:
        proto = read_pipeline(path)
        model = getattr(proto.model, proto.model.WhichOneof("model"))
        findings = [f for f in lint_file(path, LintContext()).findings if f.rule == "extractor"]
        known = model.feature_extractor.type in buildable
        assert [f.value for f in findings] == ([] if known else [model.feature_extractor.type])


@pytest.mark.parametrize("name", OURS)
def test_what_a_run_uses_is_clean(name, dataset):
    for records in (path for split in dataset.splits.values() for path in split.records):
        records.touch()
    names = enumerate(dataset.classes, start=1)
    dataset.label_map.write_text("".join(f'item {{ name: "{c}" id: {i} }}' for i, c in names))
    proto = build_pipeline(compose_spec([f"model={name}"]), dataset).proto
    assert lint_proto(proto, LintContext(of_run=True)) == []
