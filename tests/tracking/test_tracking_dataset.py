import json
from dataclasses import replace

import pytest
from factories import draw_picture, make_dataset, make_record, store_record

from odbench.tracking import log
from odbench.tracking.dataset import log_dataset, split_digest, split_profile
from odbench.tracking.log import log_run
from odbench.tracking.store import open_store


@pytest.fixture
def run(tmp_path):
    return store_record(make_record(), tmp_path)


def inputs(client, run_id):
    """By context, as the store gives them back."""
    logged = client.get_run(run_id).inputs.dataset_inputs
    return {item.tags[0].value: item.dataset for item in logged}


def found(client, spec, wanted):
    runs = client.search_runs([open_store(spec).experiment_id], wanted)
    return [run.info.run_id for run in runs]


def test_both_splits_are_inputs_of_the_run(run, spec, client):
    logged = inputs(client, log_run(run, spec))
    assert set(logged) == {"training", "evaluation"}
    assert {dataset.name for dataset in logged.values()} == {"shapes"}
    assert logged["training"].digest == "4f0c9a6be1d2-train"
    assert logged["evaluation"].digest == "4f0c9a6be1d2-val"
    profile = json.loads(logged["training"].profile)
    assert (profile["images"], profile["boxes"]) == (512, 1532)
    assert profile["findings"] == {"zero_area_box": 2}
    assert profile["hash"] == run.record.dataset.hash
    columns = json.loads(logged["evaluation"].schema)["mlflow_colspec"]
    assert {"name": "image/encoded", "type": "binary", "required": True} in columns


def test_runs_are_found_by_their_data_set(tmp_path, spec, client):
    one = log_run(store_record(make_record(), tmp_path), spec)
    other_set = make_dataset(name="cells", hash="ab" * 32)
    other = log_run(store_record(make_record(name="b", dataset=other_set), tmp_path), spec)
    assert found(client, spec, "dataset.name = 'shapes'") == [one]
    assert found(client, spec, "dataset.digest = 'abababababab-val'") == [other]
    assert sorted(found(client, spec, "dataset.context = 'training'")) == sorted([one, other])
    assert found(client, spec, "dataset.name = 'nothing'") == []


def test_runs_on_one_data_set_share_it_in_the_store(tmp_path, spec, client):
    for name in ("a", "b"):
        log_run(store_record(make_record(name=name), tmp_path), spec)
    assert len(found(client, spec, "dataset.digest = '4f0c9a6be1d2-train'")) == 2


def test_the_source_is_the_converted_data_set(run, spec, client):
    import mlflow.data

    converted = run.dir / "converted"
    converted.mkdir()
    (run.dir / "job.json").write_text(json.dumps({"dataset": str(converted)}))
    run_id = log_run(run, spec)
    (item, *_) = client.get_run(run_id).inputs.dataset_inputs
    assert item.dataset.source_type == "local"
    assert mlflow.data.get_source(item).load() == str(converted)


@pytest.mark.parametrize("job", [None, "{", "[]", "{}", '{"dataset": null}'])
def test_without_a_job_the_source_is_the_run(run, spec, client, job):
    if job is not None:
        (run.dir / "job.json").write_text(job)
    source = json.loads(inputs(client, log_run(run, spec))["training"].source)
    assert source == {"uri": str(run.dir / "dataset")}


def test_statistics_and_pictures_are_artifacts(run, spec, client):
    folder = run.dir / "dataset"
    draw_picture(folder / "statistics.png")
    draw_picture(folder / "contact_sheet.png")
    sizes = {"small": 1, "medium": 2, "large": 3}
    splits = {"train": {"sizes": sizes, "boxes_by_class": {"circle": 6}, "side_px": {}}}
    (folder / "statistics.json").write_text(json.dumps({"splits": splits}))
    (folder / "notes.txt").write_text("not ours")
    run_id = log_run(run, spec)
    assert {item.path for item in client.list_artifacts(run_id, "dataset")} == {
        "dataset/statistics.png",
        "dataset/contact_sheet.png",
        "dataset/statistics.json",
    }
    profile = json.loads(inputs(client, run_id)["training"].profile)
    assert (profile["sizes"], profile["boxes_by_class"]) == (sizes, {"circle": 6})
    assert "side_px" not in profile


@pytest.mark.parametrize("content", ["", "{", "[]", '{"splits": []}', '{"splits": {"train": 1}}'])
def test_statistics_that_are_damaged_cost_nothing_else(run, spec, client, content):
    (run.dir / "dataset").mkdir()
    (run.dir / "dataset" / "statistics.json").write_text(content)
    profile = json.loads(inputs(client, log_run(run, spec))["training"].profile)
    assert profile["images"] == 512


def test_a_run_whose_logging_was_cut_off_is_completed(run, spec, client, monkeypatch):
    def cut(client, run_id, run):
        log_dataset(client, run_id, run)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(log, "log_dataset", cut)
        with pytest.raises(KeyboardInterrupt):
            log_run(run, spec)
    run_id = log_run(run, spec)
    assert len(client.get_run(run_id).inputs.dataset_inputs) == 2
    assert client.get_run(run_id).info.status == "FINISHED"
    assert found(client, spec, "dataset.name = 'shapes'") == [run_id]


def test_names_and_digests_fit_into_mlflow(tmp_path, spec, client):
    summary = make_dataset(name="n" * 900, images={"x" * 60: 1}, boxes={"x" * 60: 2})
    run = store_record(make_record(dataset=summary), tmp_path)
    (dataset,) = inputs(client, log_run(run, spec)).values()
    assert dataset.name == "n" * 500
    assert dataset.digest == split_digest(summary.hash, "x" * 60)
    assert len(dataset.digest) == 36


def test_a_profile_holds_the_counts_of_its_split():
    summary = replace(make_dataset(), findings={})
    profile = split_profile(summary, "val")
    assert (profile["split"], profile["images"], profile["boxes"]) == ("val", 64, 190)
    assert profile["classes"] == ["circle", "square", "triangle"]
