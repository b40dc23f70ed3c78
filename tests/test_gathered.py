"""Records of many runs and machines: gathered, exported to one file, and what of them is broken."""

import gzip
import tracemalloc

import pytest
from analyses import make_analysis
from factories import gpu_changes, make_failed, make_record, store_record
from typer.testing import CliRunner

from odbench import gathered
from odbench.cli import app
from odbench.derive import derived
from odbench.errors import InputError
from odbench.gathered import export_records, gather
from odbench.records import RECORD_FILE, find_runs, to_json, write_record
from odbench.report.comparison import compare


def call(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_an_exported_file_says_what_the_folders_say(tmp_path):
    store_record(make_record(name="cpu"), tmp_path / "a")
    store_record(make_record(name="gpu", **gpu_changes()), tmp_path / "b")
    found = gather([tmp_path / "a", tmp_path / "b"]).runs
    file = tmp_path / "both.jsonl.gz"
    assert export_records(found, file) == 2
    again = gather([file, tmp_path / "a"]).runs  # of both, each once
    assert [run.record for run in again] == [run.record for run in found]
    assert [group.common.hardware for group in compare(again).groups] == [
        group.common.hardware for group in compare(find_runs([tmp_path])).groups
    ]
    content = file.read_bytes()
    export_records(again, file)
    assert file.read_bytes() == content


def test_gathered_records_are_small_and_equal(tmp_path):
    store_record(make_record(analysis=make_analysis()), tmp_path)
    (plain,) = find_runs([tmp_path])
    (packed,) = gather([tmp_path]).runs
    assert to_json(packed.record) == to_json(plain.record)
    for whole, small in (
        (plain.record.train.losses, packed.record.train.losses),
        (plain.record.train.compute_s, packed.record.train.compute_s),
        (plain.record.latency.latency_s, packed.record.latency.latency_s),
        (plain.record.analysis.pictures, packed.record.analysis.pictures),
    ):
        assert type(small) is not list
        assert (small == whole, small[-1], small[1:]) == (True, whole[-1], whole[1:])
    tracemalloc.start()
    kept = gather([tmp_path]).runs
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 1
    assert size < 60_000


def test_records_that_are_gathered_again_are_read_again(tmp_path):
    stored = store_record(make_record(step_s=0.1), tmp_path)
    (first,) = gather([tmp_path]).runs
    old = list(first.record.train.compute_s)
    write_record(make_record(step_s=0.2, run_id=stored.record.run_id), stored.dir)
    (second,) = gather([tmp_path]).runs
    assert list(second.record.train.compute_s) != old


def test_a_record_that_became_another_one_meanwhile_is_named(tmp_path):
    stored = store_record(make_record(), tmp_path)
    (run,) = gather([tmp_path]).runs
    failed = make_failed(run_id=stored.record.run_id)
    write_record(failed, stored.dir)
    with pytest.raises(InputError, match="has become another one meanwhile") as caught:
        list(run.record.train.compute_s)
    assert caught.value.where == str(stored.dir / RECORD_FILE)


def test_many_records_are_read_by_two_processes(tmp_path, monkeypatch):
    for number in range(5):
        store_record(make_record(name=f"run{number}", run_id=f"{number}"), tmp_path)
    (tmp_path / "runs" / "4" / "record.json").write_text("{", encoding="utf-8")
    alone = gather([tmp_path])
    monkeypatch.setattr(gathered, "MANY", 2)
    shared = gather([tmp_path])
    assert [to_json(run.record) for run in shared.runs] == [to_json(r.record) for r in alone.runs]
    assert [run.dir for run in shared.runs] == [tmp_path / "runs" / f"{n}" for n in range(4)]
    assert [run.derived for run in shared.runs] == [derived(run.record) for run in alone.runs]
    assert [str(error) for error in shared.broken] == [str(error) for error in alone.broken]
    assert str(tmp_path / "runs" / "4") in str(shared.broken[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a file of exported records"),
        (b'{"format": "other"}\n', "not a file of exported records"),
        (gzip.compress(b'{"format":"odbench-records","version":1}\n')[:-8], "cannot be read"),
        (b'{"format":"odbench-records","version":1}\n{"schema_version":1}\n', "not a valid record"),
    ],
    ids=["empty", "of something else", "cut off", "of another schema"],  # gzip writes the time
)
def test_a_damaged_file_is_named(tmp_path, content, message):
    file = tmp_path / "records.jsonl.gz"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        gather([file])
    assert str(file) in str(caught.value)


def test_one_broken_record_does_not_stop_a_report(tmp_path):
    good = store_record(make_record(), tmp_path)
    bad = tmp_path / "runs" / "bad" / "record.json"
    bad.parent.mkdir()
    bad.write_text(
        (good.dir / "record.json").read_text().replace('"num_steps": ', '"num_steps": "')
    )
    bad.write_text(bad.read_text()[:-9])
    done = call("export-records", tmp_path, "--out", tmp_path / "one.jsonl.gz")
    assert done.exit_code == 0, done.output
    assert "1 record" in done.stdout
    assert str(bad) in done.stderr
    assert "do:" in done.stderr
    (good.dir / "record.json").unlink()
    alone = call("pick", tmp_path)
    assert alone.exit_code == 2
    assert str(bad) in alone.stderr


def test_nothing_there(tmp_path):
    assert call("export-records", tmp_path).exit_code == 2
    assert "no such folder" in call("export-records", tmp_path / "nowhere").stderr
