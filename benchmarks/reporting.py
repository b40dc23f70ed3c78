"""How long a report takes and how much memory, by the number of records.

    python benchmarks/reporting.py 1000 --out /some/folder

Records are made up (tests/factories.py): models, batch sizes, seeds, failures, analyses. The time
is that of ``write_report`` and its parts, without reading records from disk; peak memory is the
process's, the records included.
"""

import argparse
import cProfile
import pstats
import random
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from analyses import make_analysis
from factories import make_failed, make_record, make_spec

from odbench.records import StoredRun
from odbench.report.write import write_report
from odbench.results import Stage, Status

MODELS = [
    f"{family}_{size}"
    for family in (
        "ssd_mobilenet_v2",
        "ssd_mobilenet_v2_fpnlite",
        "efficientdet",
        "centernet_resnet50",
        "faster_rcnn_resnet50",
    )
    for size in (320, 640)
]


def records(count):
    """Made-up runs; every tenth ran out of memory."""
    rng = random.Random(0)
    for number in range(count):
        model = MODELS[number % len(MODELS)]
        batch = 2 ** (1 + number // len(MODELS) % 6)
        rate = round(0.01 * (1 + number // 60), 3)
        spec = make_spec(model, batch)
        spec["optimizer"]["learning_rate"] = rate
        name = f"{model}-b{batch}-lr{rate}"
        common = {
            "name": name,
            "model": model,
            "batch_size": batch,
            "overrides": [
                f"model={model}",
                f"train.batch_size={batch}",
                f"optimizer.learning_rate={rate}",
            ],
        }
        if number % 10 == 9:
            made = make_failed(
                Status.oom, Stage.train, "memory ran out at batch size " + str(batch), **common
            )
        else:
            ap = min(0.9, max(0.02, rng.gauss(0.4, 0.1)))
            made = make_record(
                ap=ap,
                step_s=0.01 * batch * rng.uniform(0.8, 1.2),
                latency_s=rng.uniform(0.005, 0.08),
                sampling_seed=number,
                **common,
            )
            if number % 4 == 0:
                made = replace(made, analysis=make_analysis(ap, number))
        yield replace(made, spec=spec, run_id=f"{number:016x}", variant=f"{number:016x}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--out", type=Path, help="keep the report there")
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        runs = [StoredRun(record, folder / record.run_id) for record in records(arguments.count)]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        profile = cProfile.Profile()
        if arguments.profile:
            profile.enable()
        start, cpu = time.perf_counter(), time.process_time()
        path = write_report(runs, arguments.out or folder / "report", "odbench: made-up runs")
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        profile.disable()
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f"{arguments.count} records: {seconds:.2f} s ({cpu:.2f} s of CPU), "
            f"peak {after / 1e3:.0f} MB ({before / 1e3:.0f} MB of them before)"
        )
        for name in ("report.html", "report.md", "runs.csv", "comparison.json"):
            print(f"  {name}: {(path.parent / name).stat().st_size / 1e6:.2f} MB")
        if arguments.profile:
            pstats.Stats(profile).sort_stats("cumulative").print_stats(60)


if __name__ == "__main__":
    main()
