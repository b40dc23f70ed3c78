"""What goes wrong in analysing a run's detections costs nothing that was measured."""

import json

from factories import make_eval

from odbench.attempt import analysed


def test_a_failed_analysis_says_why(tmp_path):
    assert analysed(tmp_path, None) == {}  # no eval stage
    assert analysed(tmp_path, make_eval()) == {}  # whose detections are gone
    (tmp_path / "detections.json").write_text("[]")
    (tmp_path / "job.json").write_text(json.dumps({"dataset": str(tmp_path / "cleared")}))
    found = analysed(tmp_path, make_eval())
    assert list(found) == ["analysis_failure"]
    assert "no finished data set" in found["analysis_failure"]
    partial = analysed(tmp_path, make_eval(images_evaluated=63))
    assert "not every image" in partial["analysis_failure"]
