"""Time the conversion of VOC data against the API's own script, and see whether memory stays flat.

Pictures are replicas of a Pascal VOC set, each with a number of its own in a comment, so that no
two are identical. ``odbench`` converts them as ``odbench data convert`` does, with every check.
It has two rivals, each a plain loop in one process on the code of the API's
``create_pascal_tf_record.py``: as it is, where Pillow reads a picture's header only; and with
every pixel decoded, as that loop would need to notice a damaged picture. Each measurement has a
process of its own; imports, TensorFlow's above all, are timed apart.

    python benchmarks/conversion.py SOURCE                   # 5,000 pictures, 2 workers
    python benchmarks/conversion.py SOURCE --repeats 3 --json
    python benchmarks/conversion.py SOURCE --memory          # peaks at 1,000 and 20,000 pictures
    python benchmarks/conversion.py SOURCE --memory --format csv    # of the same set as a CSV file

SOURCE is a devkit folder with ``Annotations/`` and ``JPEGImages/``; left out, the set ``bccd`` in
``ODBENCH_SHARED_DATA``. The replicas lie in the folder for temporary files, or in ``--work``.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
OURS, HEADER, PIXELS = "odbench", "rival", "rival_pixels"
NAMES = {
    OURS: "odbench, every check",
    HEADER: "API's script, header only",
    PIXELS: "API's script, every pixel",
}
MEMORY_IMAGES = (1_000, 20_000)
FORMATS = ("voc", "csv", "coco")
SAMPLE_S = 0.05

Result = dict[str, Any]


def main() -> int:
    arguments = _parse()
    if arguments.part:
        print(json.dumps(measure(arguments)))
        return 0
    if arguments.work:
        arguments.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        run = _memory if arguments.memory else _speed
        report = run(arguments, Path(folder))
    if arguments.json:
        print(json.dumps(report, indent=1))
    return 0


def _speed(arguments: argparse.Namespace, folder: Path) -> Result:
    say = _speaker(arguments.json)
    say(f"{arguments.images} pictures, {arguments.workers} workers")
    replicate(arguments.source, folder / "voc", arguments.images)
    runs: list[dict[str, Result]] = []
    for number in range(arguments.repeats):
        runs.append({part: _in_process(part, folder, arguments) for part in NAMES})
        say(f"\nrun {number + 1}" + " " * 24 + "pictures/s   CPU us/picture   import s")
        for part, found in runs[-1].items():
            rate, cpu = found["images"] / found["wall_s"], found["cpu_s"] / found["images"] * 1e6
            say(f"{NAMES[part]:<28} {rate:10.0f} {cpu:16.0f} {found['import_s']:10.2f}")
    ratios = {
        f"{kind}_vs_{rival}": statistics.median(
            run[rival][f"{kind}_s"] / run[OURS][f"{kind}_s"] for run in runs
        )
        for kind in ("wall", "cpu")
        for rival in (HEADER, PIXELS)
    }
    say("")
    for rival in (HEADER, PIXELS):
        wall, cpu = (ratios[f"{kind}_vs_{rival}"] for kind in ("wall", "cpu"))
        say(f"times as fast as {NAMES[rival]:<28} {wall:6.2f} (in CPU time {cpu:.2f})")
    return {"images": arguments.images, "workers": arguments.workers, "runs": runs} | ratios


def _memory(arguments: argparse.Namespace, folder: Path) -> Result:
    say = _speaker(arguments.json)
    found = {}
    say(f"{arguments.format}, {arguments.workers} workers; peaks of resident memory\n")
    say("pictures   parent MB   largest worker MB")
    for images in MEMORY_IMAGES:
        replicate(arguments.source, folder / str(images) / "voc", images)
        if arguments.format != "voc":
            in_one_file(folder / str(images) / "voc", arguments.format)
        found[images] = _in_process(OURS, folder / str(images), arguments)
        parent, worker = (found[images][key] for key in ("parent_mb", "worker_mb"))
        say(f"{images:8} {parent:11.1f} {'' if worker is None else f'{worker:19.1f}'}")
    few, many = MEMORY_IMAGES
    grown = (found[many]["parent_mb"] - found[few]["parent_mb"]) * 1e6 / (many - few)
    say(f"\nthe parent grows by {grown:.0f} bytes for each picture")
    return {"workers": arguments.workers, "parent_bytes_per_picture": grown, "memory": found}


def _speaker(as_json: bool) -> Callable[[str], None]:
    return lambda text: print(text, file=sys.stderr if as_json else sys.stdout, flush=True)


# --- the replicas


def replicate(source: Path, out: Path, images: int) -> None:
    """Write a devkit folder of so many different pictures, and the classes beside it."""
    from lxml import etree

    (out / "Annotations").mkdir(parents=True)
    (out / "JPEGImages").mkdir()
    originals = [
        (etree.parse(path), (source / "JPEGImages" / f"{path.stem}.jpg").read_bytes())
        for path in sorted((source / "Annotations").glob("*.xml"))
    ]
    for number, (tree, picture) in enumerate(
        itertools.islice(itertools.cycle(originals), images), start=1
    ):
        stem = f"{number:06d}"
        # what the API's script makes the picture's path of
        _set(tree.getroot(), "folder", "JPEGImages")
        _set(tree.getroot(), "filename", f"{stem}.jpg")
        tree.write(str(out / "Annotations" / f"{stem}.xml"))
        comment = b"\xff\xfe" + (len(stem) + 2).to_bytes(2, "big") + stem.encode()
        (out / "JPEGImages" / f"{stem}.jpg").write_bytes(picture[:2] + comment + picture[2:])
    labels = {name.text for tree, _ in originals for name in tree.iterfind("object/name")}
    (out.parent / "classes.json").write_text(json.dumps(sorted(labels)))


def in_one_file(voc: Path, form: str) -> None:
    """Write the boxes of a replica into one file beside its pictures, in place of the XML."""
    from odbench.dataset.voc_annotation import read_annotation

    pictures, boxes = [], []
    for number, path in enumerate(sorted((voc / "Annotations").iterdir()), start=1):
        annotation = read_annotation(str(path))
        width, height = annotation.size or (0, 0)
        pictures.append((number, f"{path.stem}.jpg", width, height))
        boxes += [(number, *box[:5]) for box, _ in annotation.objects]
    shutil.rmtree(voc / "Annotations")
    if form == "csv":
        rows = [f"{n:06d}.jpg,{label},{x},{y},{X},{Y}" for n, label, x, y, X, Y in boxes]
        text = "\n".join(["filename,class,xmin,ymin,xmax,ymax", *rows])
        (voc / "JPEGImages" / "boxes.csv").write_text(text)
        return
    ids = {label: n for n, label in enumerate(sorted({box[1] for box in boxes}), start=1)}
    coco = {
        "images": [
            dict(zip(("id", "file_name", "width", "height"), p, strict=True)) for p in pictures
        ],
        "annotations": [
            {"id": at, "image_id": n, "category_id": ids[label], "bbox": [x, y, X - x, Y - y]}
            for at, (n, label, x, y, X, Y) in enumerate(boxes, start=1)
        ],
        "categories": [{"id": number, "name": label} for label, number in ids.items()],
    }
    (voc / "JPEGImages" / "instances.json").write_text(json.dumps(coco))


def _set(root: Any, tag: str, text: str) -> None:
    for element in root.iterfind(tag):
        element.text = text


# --- one measurement, in a process of its own


def _in_process(part: str, folder: Path, given: argparse.Namespace) -> Result:
    """Run this file again for one measurement."""
    command = [sys.executable, __file__, str(folder), "--part", part]
    command += ["--workers", str(given.workers), "--format", given.format]
    environment = os.environ | {"ODBENCH_CACHE_DIR": str(folder / f"cache-{time.monotonic_ns()}")}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stderr}")
    found: Result = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(given: argparse.Namespace) -> Result:
    """Convert ``folder/voc``; seconds of the clock, of the processors, and of the imports."""
    part, folder = given.part, given.source
    begin = time.perf_counter()
    convert = _ours(folder, given) if part == OURS else _rival(folder, part == PIXELS)
    imported = time.perf_counter()
    cpu = _cpu_s()
    with _largest_child() as largest:
        images = convert()
    wall = time.perf_counter() - imported
    parent_mb = _peak_mb("self")  # before the pictures are counted, which takes memory too
    expected = len(list((folder / "voc" / "JPEGImages").glob("*.jpg")))
    if images != expected:
        sys.exit(f"{part}: {images} records of {expected} pictures")
    return {
        "images": images,
        "wall_s": wall,
        "cpu_s": _cpu_s() - cpu,
        "import_s": imported - begin,
        "parent_mb": parent_mb,
        "worker_mb": largest[0] or None,
    }


def _ours(folder: Path, given: argparse.Namespace) -> Callable[[], int]:
    from odbench.config.dataset_spec import DatasetKind, DatasetSpec
    from odbench.dataset.prepare import convert_dataset
    from odbench.dataset.watch import watched

    def convert() -> int:
        source = folder / "voc" / ("" if given.format == "voc" else "JPEGImages")
        spec = DatasetSpec(name="replicas", kind=DatasetKind(given.format), dir=str(source))
        with watched("converting") as advance:
            out = folder / f"out-{os.getpid()}"
            done = convert_dataset(spec, out, workers=given.workers, advance=advance)
        return sum(split.images for split in done.dataset.splits.values())

    return convert


def _rival(folder: Path, pixels: bool) -> Callable[[], int]:
    from odbench.backend.tfod import compat

    compat.prepare_environment()
    compat.install()
    import PIL.Image
    import tensorflow as tf
    from lxml import etree
    from object_detection.dataset_tools import create_pascal_tf_record
    from object_detection.utils import dataset_util

    if pixels:
        PIL.Image.open = _opened_and_loaded(PIL.Image.open)
    voc = folder / "voc"
    names = json.loads((folder / "classes.json").read_text())
    ids = {name: index for index, name in enumerate(names, start=1)}

    def convert() -> int:
        images = 0
        with tf.io.TFRecordWriter(str(folder / "rival.tfrecord")) as writer:
            for path in sorted((voc / "Annotations").iterdir()):
                with tf.io.gfile.GFile(str(path), "r") as file:
                    root = etree.fromstring(file.read())
                data = dataset_util.recursive_parse_xml_to_dict(root)["annotation"]
                example = create_pascal_tf_record.dict_to_tf_example(
                    data, str(voc), ids, image_subdirectory=""
                )
                writer.write(example.SerializeToString())
                images += 1
        return images

    return convert


def _opened_and_loaded(opened: Callable[..., Any]) -> Callable[..., Any]:
    def open_and_load(*arguments: Any, **options: Any) -> Any:
        image = opened(*arguments, **options)
        image.load()
        return image

    return open_and_load


def _cpu_s() -> float:
    """Of this process and of its children that have ended, user and system."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@contextlib.contextmanager
def _largest_child() -> Iterator[list[float]]:
    """The largest peak of a child's memory, in MB; the kernel's own count begins at the fork."""
    largest, ended = [0.0], threading.Event()
    peaks: dict[str, float] = {}

    def watch() -> None:
        while not ended.wait(SAMPLE_S):
            children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
            # the last look counts: a process that starts still has its parent's memory
            peaks.update({child: peak for child in children if (peak := _peak_mb(child))})

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield largest
    finally:
        ended.set()
        thread.join()
        largest[0] = max(peaks.values(), default=0.0)


def _peak_mb(process: str) -> float:
    """The peak of resident memory; 0 of a process that has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    shared = Path(os.environ.get("ODBENCH_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    parser.add_argument("source", type=Path, nargs="?", default=shared / "sets" / "bccd")
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--memory", action="store_true", help="peaks of memory instead of speed")
    parser.add_argument("--format", choices=FORMATS, default="voc", help="of the set of --memory")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    parser.add_argument("--work", type=Path, help="folder for the replicas")
    parser.add_argument("--part", choices=list(NAMES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.source.is_dir():
        parser.error(f"no such folder: {arguments.source}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
