"""The answers in the words and numbers of the page's first screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from odbench.measure.comparing import Verdict
from odbench.report.flags import marks
from odbench.report.pick import Candidate, Tie
from odbench.report.pick_metrics import Metric
from odbench.report.question import Answer, Question
from odbench.report.text import DASH, significant
from odbench.report.variants import IMAGE_METRICS

MAX_NAMED = 3  # of those that are tied

# What a metric is called where nobody has asked for it by its short name.
_NAMES = {
    "latency/p50_ms": "Latency p50",
    "latency/p90_ms": "Latency p90",
    "latency/p99_ms": "Latency p99",
    "train/time_1000_steps_s": "1000-step train time",
    "export/size_bytes": "Size",
    "train/parameters": "Parameters",
    "peak_ram_bytes": "Peak RAM",
    "peak_gpu_bytes": "Peak GPU memory",
    "latency/images_per_s": "Exported model",
    "eval/wall_s": "Eval wall",
    "export/wall_s": "Export wall",
}


def answer_words(question: Question, answers: Sequence[Answer]) -> dict[str, Any]:
    """What the template shows of the question and its answers."""
    return {"question": question.text, "answers": [_words(answer) for answer in answers]}


def _words(answer: Answer) -> dict[str, Any]:
    chosen = answer.chosen
    metrics = [m for m in answer.metrics if _any_value(m, answer)]
    names = (chosen, *answer.alternatives) if chosen is not None else ()
    return {
        "where": answer.group.title,
        "model": "" if chosen is None else _heading(answer, chosen),
        "run": chosen.row.label if chosen is not None else "",
        "sentence": _why(answer, chosen),
        "facts": [] if chosen is None else [_fact(metric, chosen) for metric in metrics],
        "sure": "" if chosen is None else _sure(answer, chosen),
        "headings": [metric_name(metric) for metric in metrics],
        "alternatives": [_other(answer, metrics, c) for c in names] if len(names) > 1 else [],
        "left_out": answer.left_out,
        "left_out_count": answer.left_out_count,
        "count": len(answer.choice.candidates),
    }


def _heading(answer: Answer, chosen: Candidate) -> str:
    """The model; of one model alone, which of its configurations."""
    models = {candidate.row.record.model for candidate in answer.choice.candidates}
    return chosen.row.record.model if len(models) > 1 else chosen.row.label


def _why(answer: Answer, chosen: Candidate | None) -> str:
    """The sentence without what stands above it already."""
    if chosen is None:
        return answer.sentence
    text = answer.sentence.removeprefix(f"Take {chosen.row.label}: ")
    return text[0].upper() + text[1:]


def _any_value(metric: Metric, answer: Answer) -> bool:
    shown = [c for c in (answer.chosen, *answer.alternatives) if c is not None]
    return any(metric.value(candidate.row) is not None for candidate in shown)


def metric_name(metric: Metric) -> str:
    """A metric's name for people."""
    return _NAMES.get(metric.key, metric.short.replace("_", " "))


def _fact(metric: Metric, candidate: Candidate) -> tuple[str, str, str, str]:
    """Name, number, unit, and of an AP its 95 % interval over images."""
    value = metric.value(candidate.row)
    if value is None:
        return metric_name(metric), DASH, "", ""
    number, _, unit = metric.show(value).partition(" ")
    flags = marks(metric.flags(candidate.row))
    name = metric.key.removeprefix("eval/")
    between = candidate.row.over_images(name) if name in IMAGE_METRICS else None
    text = ""
    if between is not None and between.low is not None and between.high is not None:
        text = f"{between.low:.3f}{DASH}{between.high:.3f}"
    return metric_name(metric), f"{number} {flags}".strip(), unit, text


def _shown(metric: Metric, candidate: Candidate) -> str:
    value = metric.value(candidate.row)
    text = DASH if value is None else metric.show(value)
    return f"{text} {marks(metric.flags(candidate.row))}".strip()


def _sure(answer: Answer, chosen: Candidate) -> str:
    """Against how many of the others a difference was shown, the nearest of them with numbers."""
    metric = answer.choice.preference.metrics[0]
    tests = [t for t in answer.choice.ties if t.metric == metric and t.reference is chosen.row]
    shown = [t for t in tests if t.tested.verdict in (Verdict.better, Verdict.worse)]
    text = ""
    if tied := [t for t in tests if t.tied]:
        names = ", ".join(tie.other.label for tie in tied[:MAX_NAMED])
        more = f" and {len(tied) - MAX_NAMED} more" if len(tied) > MAX_NAMED else ""
        text = f"No difference in {metric.short} was shown between it and {names}{more}"
        text += f" ({tied[0].tested.method}). "
    if shown:
        nearest = min(shown, key=lambda tie: abs(tie.tested.difference or 0.0))
        text += f"It differs in {metric.short} from {len(shown)} of the {len(tests)} others"
        text += f"; the nearest of these is {nearest.other.label}{_by(nearest, metric)}."
    untested = [t for t in tests if t.tested.verdict is None]
    if untested:
        text += f" {len(untested)} could not be tested: {untested[0].tested.method}."
    single = [v for v in (chosen.row, *(t.other for t in tests)) if len(v.counted) == 1]
    if text and single and metric.key.removeprefix("eval/") in IMAGE_METRICS:
        whose = "all of these" if len(single) > len(tests) else f"{len(single)} of these"
        text += f" What other seeds would give is not known of {whose}: a single run each."
    return f"{text.strip()} {_trained(chosen)}".strip()


def _trained(chosen: Candidate) -> str:
    """How far the model was trained that the AP is of."""
    train = chosen.row.record.train
    if train is None or chosen.row.metrics.get("eval/AP") is None:
        return ""
    scored = chosen.row.record.eval
    at = None if scored is None else scored.checkpoint
    which = "" if at is None or at != train.best_checkpoint else "the best checkpoint of "
    text = f"Its AP is that of {which}{train.num_steps:,} train steps"
    if train.restored_from is not None:
        return f"{text} from {train.restored_from}."
    return (
        f"{text} from random weights, which tells how fast it learns these data: "
        "a longer training may order the models otherwise."
    )


def _by(tie: Tie, metric: Metric) -> str:
    tested = tie.tested
    if tested.difference is None or tested.low is None or tested.high is None:
        return f" ({tested.method})"
    numbers = [significant(abs(tested.difference))]
    numbers += sorted(map(significant, map(abs, (tested.low, tested.high))), key=float)
    unit = "" if metric.unit in (None, "0..1") else f" {metric.unit}"
    return f", by {numbers[0]}{unit} (95 % interval {numbers[1]} to {numbers[2]}; {tested.method})"


def _other(answer: Answer, metrics: Sequence[Metric], candidate: Candidate) -> dict[str, Any]:
    return {
        "name": candidate.row.label,
        "values_shown": [_shown(metric, candidate) for metric in metrics],
        "verdict": _verdict(answer, candidate),
    }


def _verdict(answer: Answer, candidate: Candidate) -> str:
    if candidate is answer.chosen:
        return "recommended"
    tie = answer.tie_with(candidate)
    if tie is not None:
        return f"tied in {tie.metric.short}"
    chosen = answer.chosen
    if chosen is None:
        return ""
    better = [
        metric_name(metric)
        for metric in answer.metrics
        if (value := metric.value(candidate.row)) is not None
        and (at := metric.value(chosen.row)) is not None
        and metric.cost(value) < metric.cost(at)
    ]
    return f"better in {', '.join(better)}" if better else "better in nothing shown here"
