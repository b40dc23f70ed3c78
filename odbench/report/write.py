"""``write_report``: everything of a report into one folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from odbench.beside import beside
from odbench.collecting import without_collecting
from odbench.errors import InputError
from odbench.jobfile import JOB_FILE
from odbench.records import RECORD_FILE, SWEEP_FILE, StoredRun
from odbench.report.comparison import Comparison, Group, compare
from odbench.report.figures import STEMS, Drawing, draw_figures
from odbench.report.latex import render_latex
from odbench.report.markdown import FIGURES_DIR, render_markdown
from odbench.report.page.document import render_page
from odbench.report.question import Question, answer_of
from odbench.report.study import STUDY_FIGURE, draw_studies
from odbench.report.tables import CSV_FILE, JSON_FILE, write_comparison, write_csv
from odbench.report.variants import variants

REPORT_FILE = "report.md"
PAGE_FILE = "report.html"
LATEX_FILE = "report.tex"

MAX_DRAWN = 6  # groups whose figures are drawn as pictures: that takes a second each


@without_collecting()
def write_report(
    runs: Sequence[StoredRun], out_dir: Path, title: str, question: Question | None = None
) -> Path:
    """Write ``report.md``, ``report.html``, ``report.tex``, tables and figures; returns the first.

    Everything is made beside its place and moved there when whole, ``report.md`` last. Files of
    an earlier report in the folder are replaced.

    Args:
        runs: What is reported.
        out_dir: Folder, made where it is missing.
        title: Of the report.
        question: That it answers; None: which run has the highest AP.

    Raises:
        InputError: There are no runs, the folder is a run's or a sweep's own, or it cannot be
            written to.
    """
    if not runs:
        raise InputError(
            "there is no run to report on", where=str(out_dir), fix="make one: odbench run"
        )
    _check_not_of_runs(out_dir)
    try:
        comparison = compare(runs)
        out_dir.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".report-", dir=out_dir) as name:
            _make(comparison, Path(name), out_dir, title, question or Question())
            _publish(Path(name), out_dir)
    except OSError as error:
        raise InputError(
            f"cannot write the report: {error.strerror or error}",
            where=str(out_dir),
            fix="name a folder that can be written to",
        ) from error
    return out_dir / REPORT_FILE


def _check_not_of_runs(out_dir: Path) -> None:
    """What was measured stays apart from what is made of it, and can be made again."""
    for name in (RECORD_FILE, JOB_FILE, SWEEP_FILE):
        if (out_dir / name).exists():
            whose = "sweep" if name == SWEEP_FILE else "run"
            raise InputError(
                f"a report does not go into the folder of a {whose}",
                where="--out",
                value=out_dir / name,
                fix="name another folder, such as reports/NAME",
            )


def _make(
    comparison: Comparison, staging: Path, out_dir: Path, title: str, question: Question
) -> None:
    figures = staging / FIGURES_DIR
    figures.mkdir()
    for group in comparison.groups:
        variants(group)  # kept, and by the fork for every process
    with (
        beside(partial(_drawn, comparison.groups, figures, STEMS[:1])) as drawn,
        beside(partial(_drawn, comparison.groups, figures, STEMS[1:])) as others_drawn,
        beside(partial(_write_tables, comparison, staging, out_dir)) as written,
    ):
        answers = answer_of(comparison, question)
        sentences = [answer.sentence for answer in answers]
        studies = draw_studies([row.run for row in comparison.rows], figures)
        stills = [(s.name, s.text, figures / s.file) for s in studies]
        page = render_page(comparison, question, answers, title, out_dir, studies=stills)
        (staging / PAGE_FILE).write_text(page, encoding="utf-8")
        (staging / LATEX_FILE).write_text(render_latex(comparison), encoding="utf-8")
        written()
        drawings = [a + b for a, b in zip(drawn(), others_drawn(), strict=True)]
    text = render_markdown(comparison, drawings, title, out_dir, sentences, studies=studies)
    (staging / REPORT_FILE).write_text(text, encoding="utf-8")


def _write_tables(comparison: Comparison, staging: Path, out_dir: Path) -> None:
    write_csv(comparison, staging / CSV_FILE, out_dir)
    write_comparison(comparison, staging / JSON_FILE, out_dir)


def _drawn(groups: Sequence[Group], folder: Path, stems: Sequence[str]) -> list[list[Drawing]]:
    """Some still figures of each group, none of those after the first few."""
    drawings: list[list[Drawing]] = []
    for number, group in enumerate(groups, start=1):
        suffix = f"_{number}" if len(groups) > 1 else ""
        if number > MAX_DRAWN:
            drawings.append([])
        else:
            drawings.append(draw_figures(group, folder, suffix, vector=True, only=stems))
    return drawings


def _publish(staging: Path, out_dir: Path) -> None:
    figures = out_dir / FIGURES_DIR
    figures.mkdir(exist_ok=True)
    new = {path.name for path in (staging / FIGURES_DIR).iterdir()}
    for name in new:
        (staging / FIGURES_DIR / name).replace(figures / name)
    for file in (CSV_FILE, JSON_FILE, LATEX_FILE, PAGE_FILE, REPORT_FILE):
        (staging / file).replace(out_dir / file)
    # Figures of an earlier report that this one has no use for.
    for stem in (*STEMS, STUDY_FIGURE):
        for old in (*figures.glob(f"{stem}.*"), *figures.glob(f"{stem}_[0-9]*.*")):
            if old.name not in new:
                old.unlink(missing_ok=True)
