"""Searching with Optuna, on the replay backend."""

import json
import signal

import psutil
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from processes import end, start, training, wait_for
from tiny import FAST, children

from odbench.config.compose import compose_spec
from odbench.errors import ConfigError, InputError
from odbench.launch import launch
from odbench.records import find_runs
from odbench.report.pick_metrics import find_metric
from odbench.searching import study as studies
from odbench.searching.space import read_space

SPACE = ["optimizer.learning_rate=tag(log,interval(0.001,0.1))", "train.batch_size=choice(2,4)"]
OBJECTIVE = [find_metric("AP", "x")]
SHORT = ["timing.measured_steps=4", "timing.warmup_steps=1", "eval.gallery_images=0"]


def space(*given, **params):
    return read_space(OverridesParser.create(), params, given)


class TestSpace:
    def test_kinds_and_what_a_trial_is_told(self):
        found = space(
            "seed=3",
            "optimizer.learning_rate=tag(log,interval(0.001,0.1))",
            "train.num_steps=int(interval(10,20))",
            "eval.score_threshold=interval(0,0.5)",
            "dataset.shards=range(2,9,3)",
            "train.batch_size=4,8",
            "augmentation=flip,none",
            "augmentation.options=[],null",
        )
        kinds = {key: repr(drawn) for key, drawn in found.distributions.items()}
        assert kinds == {
            "optimizer.learning_rate": "FloatDistribution(high=0.1, log=True, low=0.001, "
            "step=None)",
            "train.num_steps": "IntDistribution(high=20, log=False, low=10, step=1)",
            "eval.score_threshold": "FloatDistribution(high=0.5, log=False, low=0.0, step=None)",
            "dataset.shards": "IntDistribution(high=8, log=False, low=2, step=3)",
            "train.batch_size": "CategoricalDistribution(choices=(4, 8))",
            "augmentation": "CategoricalDistribution(choices=('flip', 'none'))",
            "augmentation.options": "CategoricalDistribution(choices=('[]', 'null'))",
        }
        told = found.overrides({"train.batch_size": 8, "optimizer.learning_rate": 1e-05})
        assert told == ["seed=3", "train.batch_size=8", "optimizer.learning_rate=1e-05"]

    def test_the_command_line_wins(self):
        found = space("seed=1", seed="choice(1,2)", **{"train.batch_size": "choice(2,4)"})
        assert found.fixed == ["seed=1"]
        assert list(found.distributions) == ["train.batch_size"]

    @pytest.mark.parametrize(
        ("given", "text"),
        [(["seed=1"], "nothing to search"), (["seed=interval(3,1)"], "nothing can be drawn")],
    )
    def test_a_space_that_is_none(self, given, text):
        with pytest.raises(ConfigError, match=text):
            space(*given)


class TestMedianRule:
    """The rule is asked with an own study of two objectives, where Optuna has none."""

    @pytest.fixture
    def study(self, tmp_path):
        metrics = [find_metric("AP", "x"), find_metric("latency_p50_ms", "x")]
        study = studies.open_study(tmp_path, space(*SPACE), metrics, compose_spec([]))
        for first, second in [(0.1, 0.3), (0.2, 0.5), (0.6, 0.7)]:
            trial = studies.ask(study, space(*SPACE), "tpe", 0)
            trial.set_user_attr(studies.ON_THE_WAY, {"10": first, "20": second})
            study.tell(trial, [second, 5.0])
        cut_off = studies.ask(study, space(*SPACE), "tpe", 0)
        cut_off.set_user_attr(studies.ON_THE_WAY, {"10": 0.0})
        return study

    @pytest.mark.parametrize(
        ("after", "expected"),
        [(3, [0.2, 0.5, -1.0]), (4, [-1.0, -1.0, -1.0]), (None, [-1.0, -1.0, -1.0])],
    )
    def test_median_of_complete_trials_at_the_step(self, study, after, expected):
        assert studies.thresholds(study, [10, 20, 30], after) == expected


def test_a_trial_that_was_cut_off_while_it_was_asked_for_is_asked_for_whole(tmp_path):
    whole, cut_off = (
        studies.open_study(tmp_path / name, space(*SPACE), OBJECTIVE, compose_spec([]))
        for name in ("whole", "cut_off")
    )
    expected = studies.ask(whole, space(*SPACE), "tpe", 5).params
    cut_off.ask()  # none of its values was chosen yet
    again = studies.ask_again(cut_off, space(*SPACE), "tpe", 5, 0)
    assert again.params == expected
    assert sorted(expected) == ["optimizer.learning_rate", "train.batch_size"]


def arguments(folder, *overrides, trials=5):
    return [
        *("-m", "hydra/sweeper=search", *FAST, *SHORT, f"paths.runs_dir={folder}"),
        *(f"hydra.sweeper.n_trials={trials}", *overrides),
    ]


def search(folder, *overrides, trials=5):
    """A search in this process; its outcome and its study."""
    outcome = launch(arguments(folder, *overrides, trials=trials))
    return outcome, json.loads((folder / "searches" / "search" / "study.json").read_text())


@pytest.mark.process
def test_two_objectives_failures_and_going_on(tmp_path):
    """A failed and an out-of-memory trial end nothing; the same command goes on."""
    space = ["train.batch_size=choice(2,4)", "replay.fault=choice(none,oom)"]
    more = ["hydra.sweeper.objectives=[AP,latency_p50_ms]", "hydra.sweeper.sampler=random"]
    _, first = search(tmp_path, *space, *more, trials=3)
    outcome, study = search(
        tmp_path, *space, *more, f"paths.reports_dir={tmp_path}/reports", trials=6
    )
    assert study["trials"][:3] == first["trials"]
    assert study["finished"] == len(study["trials"]) == 6
    states = {(t["state"], t["status"]) for t in study["trials"]}
    assert states == {("complete", "ok"), ("fail", "oom")}
    for trial in study["trials"]:
        assert (trial["state"] == "fail") == (trial["params"]["replay.fault"] == "oom")
    assert all(study["trials"][number]["values"][0] > 0 for number in study["best"])
    assert len({run.record.sweep_id for run in outcome.runs}) == 1
    assert {run.record.run_id for run in outcome.runs} == {t["run_id"] for t in study["trials"]}
    text = outcome.report.read_text()
    assert "## Study search" in text and "no trial is better in both" in text
    assert (outcome.report.parent / "figures" / "study.png").stat().st_size > 1000
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.study=NAME"):
        search(tmp_path, "train.batch_size=choice(2,8)", *more)


@pytest.mark.process
def test_a_trial_below_the_median_is_pruned(tmp_path):
    outcome, study = search(
        tmp_path,
        "replay.quality=choice(0.9,0.1)",
        "train.eval_every_steps=4",
        "hydra.sweeper.prune_after=1",
        "hydra.sweeper.seed=2",
        "hydra.sweeper.sampler=random",
        trials=2,
    )
    by_number = {t["number"]: t for t in study["trials"]}
    states = [(t["params"]["replay.quality"], t["state"]) for t in study["trials"]]
    assert (0.1, "pruned") in states and (0.9, "complete") in states, states
    assert by_number[study["best"][0]]["params"]["replay.quality"] == 0.9
    (pruned,) = {run.record.status for run in outcome.runs if run.record.eval is None}
    assert pruned == "pruned"
    record = next(run.record for run in outcome.runs if run.record.status == "pruned")
    assert record.train.num_steps == 4 and "below train.prune_below" in record.reason
    assert outcome.exit_code == 0


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("hydra.sweeper.objectives=[AP,speed]", "hydra.sweeper.objectives"),
        ("optimizer.learning_rate=tag(log,interval(0,1))", "nothing can be drawn"),
        ("optimizer.learning_rate=interval(1)", "interval"),
        ("train.batch_size=choice(2,0)", "train.batch_size"),
        ("model=choice(nosuch,efficientdet_d0)", "nosuch"),
        ("--failed", "this sweeper goes by no plan"),
    ],
)
def test_a_wrong_search_leaves_nothing(tmp_path, wrong, text):
    with pytest.raises(InputError) as caught:
        search(tmp_path / "runs", "seed=choice(1,2)", wrong)
    assert text in "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert list((tmp_path / "runs").rglob("*")) == []


@pytest.mark.process
def test_kill_9_of_a_parallel_search_and_going_on(tmp_path, runs_dir):
    """Its trials are as many as asked for, each a record and one MLflow run."""
    parallel = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.at_once=2"]
    asked = [
        *parallel,
        "tracking.enabled=true",
        "train.batch_size=choice(2,4)",
        "replay.wait_s=0.2",
    ]
    folder = runs_dir / "searches" / "search"
    process = start(tmp_path, "run", *arguments(runs_dir, *asked, trials=3))
    wait_for(lambda: training(folder / "0") and training(folder / "1"))
    workers = psutil.Process(process.pid).children(recursive=True)
    end(process, signal.SIGKILL)
    assert psutil.wait_procs(workers, timeout=60)[1] == []  # nothing is left behind
    assert not (folder / "0" / "record.json").exists()
    with (folder / "study.log").open("a") as journal:
        journal.write('{"op_code":')  # as a full disk would cut it off
    outcome, study = search(runs_dir, *asked, trials=3)
    assert outcome.exit_code == 0
    assert [trial["state"] for trial in study["trials"]] == ["complete"] * 3
    ids = [run.record.run_id for run in find_runs([folder])]
    assert sorted(ids) == sorted(trial["run_id"] for trial in study["trials"])
    assert sorted(children(tmp_path)) == sorted(ids)
