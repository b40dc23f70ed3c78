import csv
import json
from dataclasses import replace

from factories import make_eval, make_failed, make_record, store_record

from odbench.report.columns import COLUMNS
from odbench.report.comparison import compare
from odbench.report.tables import write_comparison, write_csv
from odbench.results import Stage


def read_csv(records, tmp_path):
    runs = [store_record(record, tmp_path) for record in records]
    write_csv(compare(runs), tmp_path / "runs.csv", tmp_path)
    with (tmp_path / "runs.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_json(records, tmp_path):
    runs = [store_record(record, tmp_path) for record in records]
    write_comparison(compare(runs), tmp_path / "comparison.json", tmp_path)
    return json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))


def test_csv_has_one_row_a_run_with_units_in_the_headings(tmp_path):
    rows = read_csv([make_record(), make_record(batch_size=4, ap=0.2)], tmp_path)
    assert len(rows) == 2
    assert [row["eval/AP [0..1]"] for row in rows] == ["0.431", "0.2"]
    assert float(rows[0]["export/size_bytes [bytes]"]) == 12_345_678
    assert 19 < float(rows[0]["latency/p50_ms [ms]"]) < 21
    assert float(rows[0]["train/images_per_s [images/s]"]) > 0
    assert rows[0]["train/parameters"] == "2830000.0"
    assert rows[0]["train.batch_size"] == "8"  # what varies
    assert rows[0]["hardware"] == "CPU Intel(R) Xeon(R) Processor, 2 cores"


def test_csv_leaves_what_was_not_measured_empty(tmp_path):
    rows = read_csv([make_record(), make_failed(stage=Stage.eval, name="bad")], tmp_path)
    bad = rows[1]
    assert (bad["status"], bad["failed_stage"], bad["reason"]) == ("oom", "eval", "memory ran out")
    assert bad["eval/AP [0..1]"] == ""
    assert bad["train/peak_gpu_bytes [bytes]"] == ""
    assert float(bad["train/build_s [s]"]) == 9.7


def test_csv_names_flags_and_record(tmp_path):
    (row,) = read_csv([make_record(measured_steps=30, latency_samples=20)], tmp_path)
    assert row["flags"] == "projection few_samples"
    assert (tmp_path / row["record"]).is_file()


def test_csv_has_every_metric_of_every_run(tmp_path):
    only_trained = replace(make_record(name="t"), eval=None, export=None, latency=None)
    rows = read_csv([only_trained, make_record()], tmp_path)
    assert "eval/AP75 [0..1]" in rows[0]
    by_name = {row["run"]: row for row in rows}
    assert by_name["t"]["eval/AP75 [0..1]"] == ""


def test_json_holds_groups_rows_and_columns_in_order(tmp_path):
    body = read_json(
        [make_record(ap=0.2), make_record(batch_size=4, ap=0.3), make_failed(name="bad")], tmp_path
    )
    (group,) = body["groups"]
    assert [row["metrics"].get("eval/AP") for row in group["rows"]] == [0.3, 0.2, None]
    assert group["common"]["hardware"].startswith("CPU Intel")
    assert [column["key"] for column in body["columns"]] == [column.key for column in COLUMNS]
    assert group["rows"][0]["per_class_ap"]["square"] == 0.3
    assert group["rows"][2]["reason"] == "memory ran out"
    assert group["rows"][2]["cells"]["ap"] == "\u2013"


def test_json_gives_no_ap_of_a_partial_evaluation(tmp_path):
    body = read_json([make_record(eval=make_eval(images_evaluated=3))], tmp_path)
    (row,) = body["groups"][0]["rows"]
    assert row["flags"] == ["partial_eval"]
    assert row["metrics"]["eval/AP"] is None
    assert row["per_class_ap"] is None
    assert set(body["flags"]) == {"partial_eval"}
