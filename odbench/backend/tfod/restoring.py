"""Starting from a checkpoint: what the API's fine-tuning restores, checked variable by variable.

The API asserts that something matched; here every variable that the type of the checkpoint should
set is looked up first, by the names that TensorFlow itself matches by: the paths through the
object graphs of model and checkpoint.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from object_detection import model_lib_v2
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from odbench.errors import RunError
from odbench.events import EventLog
from odbench.results import Stage

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
_SHOWN = 4  # variables of each kind in an error


@dataclass(frozen=True)
class Restored:
    """What a checkpoint set in a model."""

    restore_s: float  # building the variables, comparing and restoring
    variables: int  # set from the checkpoint
    left_random: int  # the model's others: heads, where the type leaves them out


@dataclass(frozen=True)
class Difference:
    """Where a model and a checkpoint do not fit; variables by their path in the object graph."""

    fitting: int
    missing: list[str]  # in the checkpoint
    other_shape: list[tuple[str, tuple[int, ...], tuple[int, ...]]]  # here, in the checkpoint

    def __bool__(self) -> bool:
        return bool(self.missing or self.other_shape or not self.fitting)


def restore(model: Any, train_config: Any, dataset: Any, log: EventLog) -> Restored | None:
    """Restore what ``train_config.fine_tune_checkpoint`` names; None where it names nothing.

    Args:
        model: Detection model; its variables are built here.
        train_config: ``TrainConfig``.
        dataset: Training batches; one of them is taken, to build the variables with.
        log: What was restored goes there.

    Raises:
        RunError: The checkpoint cannot be read, or a variable is missing or of another shape.
    """
    prefix, kind = train_config.fine_tune_checkpoint, train_config.fine_tune_checkpoint_type
    if not prefix:
        return None
    started = time.perf_counter()
    reader = _open(prefix)
    model_lib_v2._ensure_model_is_built(model, dataset, train_config.unpad_groundtruth_tensors)
    root = tf.train.Checkpoint(**model.restore_from_objects(fine_tune_checkpoint_type=kind))
    difference = compare(root, reader)
    if difference:
        raise _does_not_fit(prefix, kind, difference)
    _load(root, prefix)
    total = len(_variables(tf.train.Checkpoint(model=model)))
    restored = Restored(
        restore_s=time.perf_counter() - started,
        variables=difference.fitting,
        left_random=total - difference.fitting,
    )
    log.emit(
        "restored",
        stage=Stage.train,
        checkpoint=prefix,
        type=kind,
        variables=restored.variables,
        left_random=restored.left_random,
        restore_s=restored.restore_s,
    )
    return restored


def compare(root: Any, reader: Any) -> Difference:
    """Which of the variables below an object a checkpoint has, in the same shape.

    Args:
        root: ``tf.train.Checkpoint`` of what is to be restored, its variables built.
        reader: ``tf.train.load_checkpoint`` of the checkpoint.
    """
    graph = TrackableObjectGraph.FromString(reader.get_tensor(_GRAPH))
    nodes = _match(root, graph)
    shapes = reader.get_variable_to_shape_map()
    fitting, missing, other = 0, [], []
    for path, variable in _variables(root).items():
        key = _key(graph, nodes.get(id(variable)))
        if key not in shapes:
            missing.append(path)
        elif tuple(shapes[key]) != tuple(variable.shape):
            other.append((path, tuple(variable.shape), tuple(shapes[key])))
        else:
            fitting += 1
    return Difference(fitting, missing, other)


def _open(prefix: str) -> Any:
    try:
        return tf.train.load_checkpoint(prefix)
    except (tf.errors.OpError, ValueError) as error:
        raise _unreadable(prefix, error) from error


def _load(root: Any, prefix: str) -> None:
    try:
        # read, since restore() would also want the counter that only CheckpointManager writes
        root.read(prefix).expect_partial().assert_existing_objects_matched()
    except (tf.errors.OpError, AssertionError, ValueError) as error:
        raise _unreadable(prefix, error) from error


def _match(root: Any, graph: Any) -> dict[int, int]:
    """Nodes of a checkpoint, by the ``id`` of the object that TensorFlow restores from each."""
    nodes = {id(root): 0}
    waiting = deque([(root, 0)])
    while waiting:
        owner, number = waiting.popleft()
        stored = {child.local_name: child.node_id for child in graph.nodes[number].children}
        for name, child in _children(owner).items():
            if name in stored and id(child) not in nodes:
                nodes[id(child)] = stored[name]
                waiting.append((child, stored[name]))
    return nodes


def _variables(root: Any) -> dict[str, Any]:
    """The variables below an object, each once, by the shortest path to it."""
    return {path: item for path, item in _walk(root) if isinstance(item, tf.Variable)}


def _walk(root: Any) -> Iterator[tuple[str, Any]]:
    seen = {id(root)}
    waiting = deque([("", root)])
    while waiting:
        path, owner = waiting.popleft()
        yield path, owner
        for name, child in _children(owner).items():
            if id(child) not in seen and not (owner is root and name == "save_counter"):
                seen.add(id(child))
                waiting.append((f"{path}/{name}" if path else name, child))


def _children(owner: Any) -> Mapping[str, Any]:
    children: Mapping[str, Any] = tf.train.TrackableView.children(owner)
    return children


def _key(graph: Any, number: int | None) -> str | None:
    if number is None:
        return None
    attributes = graph.nodes[number].attributes
    return next((a.checkpoint_key for a in attributes if a.name == _VALUE), None)


def _does_not_fit(prefix: str, kind: str, difference: Difference) -> RunError:
    total = difference.fitting + len(difference.missing) + len(difference.other_shape)
    parts = [f"{difference.fitting} of {total} variables fit"]
    if difference.missing:
        parts.append(f"missing in the checkpoint: {_listed(difference.missing)}")
    if difference.other_shape:
        shapes = [
            f"{path} {list(theirs)} in the checkpoint, {list(ours)} in the model"
            for path, ours, theirs in difference.other_shape
        ]
        parts.append(f"of another shape: {_listed(shapes)}")
    fix = "start from a checkpoint of the same architecture, extractor and sizes"
    if kind == "full":
        fix += "; with other classes fine_tune_checkpoint_type=detection leaves the heads random"
    return RunError(
        f"the checkpoint does not fit the model ({kind})",
        where=prefix,
        value="; ".join(parts),
        fix=fix,
    )


def _listed(items: list[str]) -> str:
    more = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _unreadable(prefix: str, error: Exception) -> RunError:
    lines = str(getattr(error, "message", error)).strip().splitlines()
    return RunError(
        f"the checkpoint cannot be read: {lines[0][:300] if lines else type(error).__name__}",
        where=prefix,
        fix="copy or fetch it again",
    )
