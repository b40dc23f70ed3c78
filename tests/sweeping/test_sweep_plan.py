"""What of a sweep is planned, by the command and in process; nothing is run."""

import json
from pathlib import Path

import pytest
from factories import make_record
from hydra import compose
from tiny import FAST
from typer.testing import CliRunner

from odbench.cli import app
from odbench.config.compose import compose_spec, hydra_session, to_spec
from odbench.config.composer import Composer
from odbench.config.register import register
from odbench.errors import ConfigError, InputError
from odbench.jobfile import JOB_FILE
from odbench.records import RECORD_FILE, write_record
from odbench.sweep import enter_sweep
from odbench.sweeping.folder import find_folder, held_sweep
from odbench.sweeping.options import Options, lasting, take_options
from odbench.sweeping.plan import Cell, digest_of, plan_sweep

SPEC = compose_spec(FAST)


def cells(count, *, variant="v"):
    return [Cell([f"seed={n}"], SPEC, f"print{n}", f"{variant}{n}") for n in range(count)]


def begin(folder, number, fingerprint, status=None, **changes):
    """A run as it lies on disk; without a status its parent was killed."""
    run_dir = folder / str(number)
    run_dir.mkdir(parents=True)
    if status is not None:
        record = make_record(status=status, variant=f"v{number}", **changes)
        write_record(record, run_dir)
    identity = {"fingerprint": fingerprint, "variant": f"v{number}"}
    (run_dir / JOB_FILE).write_text(json.dumps(identity))


def states(plan):
    return [(str(p.state), p.number, p.chosen) for p in plan.cells]


class TestPlan:
    @pytest.fixture
    def folder(self, tmp_path):
        begin(tmp_path, 0, "print0", "ok", wall_s=7.0)
        begin(tmp_path, 1, "print1", "failed", reason="it broke")
        begin(tmp_path, 2, "print2", "interrupted")
        begin(tmp_path, 3, "print3")
        begin(tmp_path, 4, "print4", "pruned")
        return tmp_path

    @pytest.mark.parametrize(
        ("options", "chosen"),
        [({}, [2, 3, 5]), ({"failed": True}, [1, 2, 3, 5]), ({"missing": True}, [5])],
    )
    def test_what_is_chosen(self, folder, options, chosen):
        plan = plan_sweep(cells(6), folder, Options(**options))
        kinds = ["done", "failed", "interrupted", "interrupted", "done", "missing"]
        assert [str(p.state) for p in plan.cells] == kinds
        assert [p.number for p in plan.todo] == chosen
        assert plan.cells[1].reason == "it broke"
        assert [p.estimate_s for p in plan.cells] == [7.0, None, None, None, None, None]

    def test_cells_are_told_by_their_fingerprints_alone(self, folder):
        more = [Cell(["x=1"], SPEC, "another", "w"), *reversed(cells(3))]
        assert states(plan_sweep(more, folder, Options())) == [
            ("missing", 5, True),
            ("interrupted", 2, True),
            ("failed", 1, False),
            ("done", 0, False),
        ]

    def test_equal_fingerprints_are_as_many_runs(self, tmp_path):
        begin(tmp_path, 0, "print0", "ok")
        twice = [*cells(1), *cells(1)]
        assert states(plan_sweep(twice, tmp_path, Options())) == [
            ("done", 0, False),
            ("missing", 1, True),
        ]

    def test_a_folder_that_was_cut_off_before_its_job_is_used(self, tmp_path):
        (tmp_path / "0" / ".hydra").mkdir(parents=True)
        assert states(plan_sweep(cells(1), tmp_path, Options())) == [("missing", 0, True)]

    def test_a_damaged_record_is_named(self, folder):
        (folder / "0" / RECORD_FILE).write_text('{"status": "ok"')
        with pytest.raises(InputError, match="cannot be read") as caught:
            plan_sweep(cells(1), folder, Options())
        assert str(folder / "0" / RECORD_FILE) in str(caught.value)


class TestFolder:
    def test_it_is_found_by_its_cells_and_the_newest_wins(self, tmp_path):
        digest = digest_of(cells(3))
        assert digest == digest_of(reversed(cells(3)))
        assert digest != digest_of(cells(2))
        for name, cells_of_it in (("a", digest), ("b", digest), ("c", "other"), ("d", None)):
            enter_sweep(tmp_path / "day" / name, cells_of_it)
        (tmp_path / "day" / "e").mkdir()
        (tmp_path / "day" / "e" / "sweep.json").write_text("{")
        assert find_folder(tmp_path, digest) == tmp_path / "day" / "b"
        assert find_folder(tmp_path, "unknown") is None

    def test_one_process_at_a_time(self, tmp_path):
        first = tmp_path / "day" / "a"
        with held_sweep(tmp_path, first, "digest", again=True) as sweep:
            with (
                pytest.raises(InputError, match="going already"),
                held_sweep(tmp_path, tmp_path / "day" / "b", "digest", again=True),
            ):
                pass
            with held_sweep(tmp_path, tmp_path / "day" / "b", "digest", again=False) as other:
                assert other.sweep_id != sweep.sweep_id
        with held_sweep(tmp_path, tmp_path / "day" / "c", "digest", again=True) as again:
            assert Path(again.dir) == tmp_path / "day" / "b"
            assert again.sweep_id == other.sweep_id


class TestOptions:
    def test_ours_are_taken_and_the_others_left(self):
        given = ["-m", "--failed", "seed=0,1", "--dry-run", "--fail-fast"]
        options, rest = take_options(given)
        assert options == Options(dry_run=True, failed=True, fail_fast=True)
        assert rest == ["-m", "seed=0,1"]
        assert lasting(given) == ["-m", "seed=0,1", "--fail-fast"]

    @pytest.mark.parametrize(
        "given", [["--failed", "--missing"], ["--new", "--failed"], ["--json"]]
    )
    def test_contradictions(self, given):
        with pytest.raises(ConfigError):
            take_options(given)


class TestComposer:
    """It gives what Hydra composes, in a hundredth of the time."""

    def test_equal_to_hydras(self):
        register()
        with hydra_session():
            composer = Composer("config")
            for overrides in (
                ["train.batch_size=4", "seed=3", "backend=replay"],
                ["++model.pipeline.train_config.max_number_of_boxes=50", "timing=quick"],
                ["train.num_steps=null", "augmentation.options=[{random_horizontal_flip:{}}]"],
                ["eval.batch_size=${train.batch_size}"],
            ):
                assert composer.spec(overrides) == to_spec(compose("config", overrides))

    def test_errors_are_hydras(self):
        register()
        with hydra_session():
            composer = Composer("config")
            for override, text in (
                ("train.batch_sizee=4", "did you mean train.batch_size?"),
                ("train.batch_size=0", "an integer >= 1"),
                ("seed=x", "seed"),
                ("model=nosuch", "efficientdet_d0"),
            ):
                with pytest.raises(ConfigError) as caught:
                    composer.spec([override])
                assert text in str(caught.value)


def dry_run(*arguments, code=0):
    done = CliRunner().invoke(app, ["run", *FAST, *arguments, "--dry-run", "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if code == 0 else done.stderr


class TestByTheCommand:
    @pytest.fixture(autouse=True)
    def somewhere(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def test_repeats_are_interleaved(self):
        body = dry_run("repeats=2", "-m", "train.batch_size=2,4", "seed=7")
        told = [(c["overrides"][-1], c["repeat"], c["number"]) for c in body["cells"]]
        assert [(r, n) for _, r, n in told] == [(0, 0), (0, 1), (1, 2), (1, 3)]
        assert [c["overrides"][-2:] for c in body["cells"][2:]] == [["seed=8", "repeat=1"]] * 2
        first, second, third, _ = body["cells"]
        assert first["variant"] == third["variant"] != second["variant"]
        assert len({c["fingerprint"] for c in body["cells"]}) == 4
        assert (body["dir"], body["to_do"], body["estimate_s"]) == (None, 4, None)
        assert not list(Path().rglob("sweep.json"))

    def test_repeats_alone_are_a_sweep_also_of_one_seed(self):
        body = dry_run("repeats=3", "same_seed=true")
        assert [c["repeat"] for c in body["cells"]] == [0, 1, 2]
        assert body["cells"][2]["overrides"][-2:] == ["seed=0", "repeat=2"]

    def test_a_device_is_no_new_cell_and_the_data_are(self):
        one, other = (
            {c["fingerprint"] for c in dry_run("-m", "seed=0,1", extra)["cells"]}
            for extra in ("runtime.device=cpu", "runtime.device=auto")
        )
        assert one == other
        data = dry_run("-m", "seed=0,1", "dataset.shapes.seed=5")
        assert one.isdisjoint(c["fingerprint"] for c in data["cells"])

    def test_what_lies_in_the_folder_is_told(self):
        planned = dry_run("-m", "seed=0,1")["cells"]
        folder = Path("runs/day/time")
        for cell, status in zip(planned, ("ok", "failed"), strict=True):
            begin(folder, cell["number"], cell["fingerprint"], status)
        enter_sweep(folder, digest_of(Cell([], SPEC, c["fingerprint"], "") for c in planned))
        body = dry_run("-m", "seed=0,1")
        assert body["dir"] == str(folder)
        assert [(c["state"], c["to_do"]) for c in body["cells"]] == [
            ("done", False),
            ("failed", False),
        ]
        assert dry_run("-m", "seed=0,1", "--failed")["to_do"] == 1
        assert dry_run("-m", "seed=0,1", "--new")["counts"]["missing"] == 2

    def test_bad_input(self):
        assert "for a sweep add -m" in dry_run(code=2)
        basic = dry_run("-m", "seed=0,1", "repeats=2", "hydra/sweeper=basic", code=2)
        assert "leave hydra/sweeper at odbench" in basic
