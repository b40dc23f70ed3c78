from types import SimpleNamespace
from unittest.mock import Mock

from odbench.tracking.artifacts import MAX_REPORT_BYTES, log_report


def test_of_a_report_above_50_mb_the_pages_are_sent_and_the_rest_is_named(tmp_path, caplog):
    sizes = {
        "figures/a.png": 1,
        "figures/large.png": MAX_REPORT_BYTES - 5,  # with the pages one byte too many
        "figures/z.png": 2,
        "report.html": 3,
        "report.md": 2,
    }
    (tmp_path / "figures").mkdir()
    for name, size in sizes.items():
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)  # takes no room on the disk
    client = Mock()
    page = log_report(SimpleNamespace(client=client, experiment_id="7"), "run", tmp_path)
    sent = [(call.args[1], call.args[2]) for call in client.log_artifact.call_args_list]
    assert sent == [
        (str(tmp_path / "report.html"), "report"),
        (str(tmp_path / "report.md"), "report"),
        (str(tmp_path / "figures" / "a.png"), "report/figures"),
        (str(tmp_path / "figures" / "z.png"), "report/figures"),
    ]
    assert page == "#/experiments/7/runs/run/artifacts/report/report.html"
    assert "larger than 50 MB; not sent to MLflow: large.png" in caplog.text

    (tmp_path / "figures" / "a.png").unlink()
    (tmp_path / "figures" / "z.png").unlink()
    client.reset_mock()
    log_report(SimpleNamespace(client=client, experiment_id="7"), "run", tmp_path)
    assert client.log_artifact.call_count == 3  # exactly 50 MB
