"""The rooms of the house: an import only points downwards, and light commands stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "odbench"

# A module imports from its own level's room or from lower levels. docs/architecture.md says why.
LEVELS = [
    {"errors", "results", "analyses", "config"},
    {"measure", "events", "drawing", "reporting", "user_cache", "orphans", "beside", "collecting"},
    {"derive", "records", "packing", "gathered", "dataset", "zoo", "pipeline", "evaluation"},
    {"backend", "jobfile"},
    {"runner", "child", "isolation", "progress"},
    {"tracking", "report", "job", "attempt", "resume"},
    {"sweep", "sweeping", "ending", "sweep_ending", "hydra_job", "launch", "resuming"}
    | {"launching", "searching"}
    | {"doctor", "zoo_cli", "pipeline_cli"}
    | {"syncing", "sweep_syncing", "sync_cli", "registering"}
    | {"data_cli", "data_options", "cli", "pick_cli", "report_cli", "compare_cli", "selecting"},
]
LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}

# Rooms of one level that may know each other: a type, a writer, or the parent's own steps.
ALLOWED = {
    ("config", "errors"),
    ("results", "analyses"),
    ("derive", "dataset"),
    ("records", "derive"),
    ("gathered", "derive"),
    ("gathered", "records"),
    ("gathered", "packing"),
    ("packing", "records"),
    ("dataset", "records"),
    ("zoo", "records"),
    ("pipeline", "dataset"),
    ("pipeline", "evaluation"),
    ("evaluation", "dataset"),
    ("jobfile", "backend"),
    ("isolation", "child"),
    ("child", "runner"),
    ("job", "attempt"),
    ("resume", "attempt"),
    ("resume", "job"),
    ("hydra_job", "sweep"),
    ("sweeping", "sweep"),
    ("sweeping", "hydra_job"),
    ("ending", "hydra_job"),
    ("ending", "sweeping"),
    ("sweep_ending", "ending"),
    ("sweep_ending", "hydra_job"),
    ("sweep_ending", "sweep"),
    ("sweep_ending", "sweeping"),
    ("launch", "ending"),
    ("launch", "sweep"),
    ("launch", "sweep_ending"),
    ("launch", "sweeping"),
    ("launch", "hydra_job"),
    ("launch", "launching"),
    ("launch", "searching"),
    ("sweeping", "launching"),
    ("sweeping", "searching"),
    ("resuming", "ending"),
    ("resuming", "sweep_ending"),
    ("resuming", "hydra_job"),
    ("resuming", "sweep"),
    ("sweep_syncing", "ending"),
    ("sweep_syncing", "sweep"),
    ("sweep_syncing", "sweeping"),
    ("syncing", "hydra_job"),
    ("syncing", "sweep_syncing"),
    ("sync_cli", "syncing"),
    ("registering", "syncing"),
    ("pick_cli", "registering"),
    ("cli", "sync_cli"),
    ("cli", "launch"),
    ("cli", "ending"),
    ("cli", "sweeping"),
    ("cli", "resuming"),
    ("cli", "doctor"),
    ("cli", "data_cli"),
    ("cli", "zoo_cli"),
    ("cli", "pipeline_cli"),
    ("cli", "pick_cli"),
    ("cli", "report_cli"),
    ("report_cli", "selecting"),
    ("cli", "compare_cli"),
    ("compare_cli", "selecting"),
    ("pick_cli", "selecting"),
    ("data_cli", "data_options"),
}


def room_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "odbench":
                yield from (f"odbench.{alias.name}" for alias in node.names)
            else:
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        if "_data" not in relative.parts and relative.name != "__init__.py":
            yield path, relative.parts[0].removesuffix(".py")


def test_every_room_has_a_level():
    assert {room for _, room in modules()} <= set(LEVEL)


def test_imports_point_downwards():
    wrong = []
    for path, room in modules():
        for module in imports(path):
            other = room_of(module) if module.split(".")[0] == "odbench" else None
            if other is None or other == room or other.startswith("__"):
                continue
            below = LEVEL[other] < LEVEL[room]
            if not below and (room, other) not in ALLOWED:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert wrong == []


@pytest.mark.parametrize("heavy", ["tensorflow", "tf_keras", "object_detection.builders"])
def test_only_the_engine_imports_tensorflow(heavy):
    users = {
        path.relative_to(PACKAGE).parts[:2]
        for path, _ in modules()
        for module in imports(path)
        if module.startswith(heavy)
    }
    assert users <= {("backend", "tfod")}


@pytest.mark.parametrize(
    "code",
    [
        "import odbench",
        "import odbench.cli",
        "import odbench.launch, odbench.job, odbench.backend.tfod, odbench.tracking.log",
    ],
)
def test_imports_stay_light(code):
    probe = (
        f"import sys; {code}; "
        "heavy = 'tensorflow', 'mlflow', 'pandas', 'matplotlib', 'altair', 'vl_convert'; "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
