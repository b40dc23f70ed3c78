"""How long `odbench report` takes on records on disk, and how much memory, by their number.

    python benchmarks/reporting.py 1000
    python benchmarks/reporting.py 10000 --records /some/folder    # written once, used again

Records are made up (tests/factories.py): models, batch sizes, failures; in size and contents like
those that the replay backend leaves, each in a folder of its own. Every figure is of fresh
processes, the interpreter's start included, after one report that fills the caches of files.
Memory is the peak of the largest process: figures are drawn in a second one, which shares the
records with the first.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from analyses import make_analysis
from factories import make_failed, make_record, make_spec

from odbench.records import write_record
from odbench.results import Stage, Status

ROOT = Path(__file__).resolve().parents[1]
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
PICTURES = 22  # that an analysis keeps of the embedded data set

COMMAND = "from odbench.cli import main; main()"
STARTED = "import odbench.report_cli, odbench.gathered, odbench.report.comparison"
LOADED = f"""
{STARTED}
import pathlib, sys
found = odbench.gathered.gather([pathlib.Path(sys.argv[1])])
"""
COMPARED = f"""{LOADED}
odbench.report.comparison.compare(found.runs)
"""


def records(count):
    """Made-up runs; every tenth ran out of memory."""
    rng = random.Random(0)
    for number in range(count):
        model = MODELS[number % len(MODELS)]
        batch = 2 ** (1 + number // len(MODELS) % 6)
        rate = round(0.01 * (1 + number // 60), 3)
        spec = make_spec(model, batch)
        spec["optimizer"]["learning_rate"] = rate
        overrides = [
            f"model={model}",
            f"train.batch_size={batch}",
            f"optimizer.learning_rate={rate}",
        ]
        common = {
            "name": f"{model}-b{batch}-lr{rate}",
            "model": model,
            "batch_size": batch,
            "overrides": overrides,
        }
        if number % 10 == 9:
            reason = f"memory ran out at batch size {batch}"
            made = make_failed(Status.oom, Stage.train, reason, **common)
        else:
            ap = min(0.9, max(0.02, rng.gauss(0.4, 0.1)))
            made = make_record(
                ap=ap,
                step_s=0.01 * batch * rng.uniform(0.8, 1.2),
                latency_s=rng.uniform(0.005, 0.08),
                sampling_seed=number,
                **common,
            )
            made = replace(made, analysis=make_analysis(ap, number, PICTURES))
        yield replace(made, spec=spec, run_id=f"{number:016x}", variant=f"{number:016x}")


def write(count, folder):
    """Every record into a folder of its own, unless they are there."""
    if folder.is_dir() and len(list(folder.iterdir())) == count:
        return
    for record in records(count):
        (folder / record.run_id).mkdir(parents=True)
        write_record(record, folder / record.run_id)


def measure(code, *arguments):
    """Wall and CPU time in s and peak memory in MB of a fresh process."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--records", type=Path, help="folder to write them to, or that has them")
    parser.add_argument("--out", type=Path, help="keep the report there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.records or Path(scratch) / "records"
        out = arguments.out or Path(scratch) / "report"
        write(arguments.count, folder)
        size = sum(path.stat().st_size for path in folder.glob("*/record.json"))
        print(f"{arguments.count} records of {size / arguments.count / 1e3:.0f} kB on average")
        report = (COMMAND, "report", folder, "--out", out)
        measure(*report)
        for what, call in {
            "start": (STARTED,),
            "start, load": (LOADED, folder),
            "start, load, compare": (COMPARED, folder),
            "odbench report": report,
        }.items():
            seconds, cpu, memory = measure(*call)
            print(f"{what:22}{seconds:7.2f} s{cpu:7.2f} s of CPU{memory:7.0f} MB", flush=True)
        for name in ("report.html", "report.md", "runs.csv", "comparison.json"):
            print(f"  {name}: {(out / name).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
