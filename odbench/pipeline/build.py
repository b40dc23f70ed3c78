"""``RunSpec`` to ``pipeline.config``: the model as described, and what the run sets in it."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf import text_format
from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig
from object_detection.protos.preprocessor_pb2 import PreprocessingStep

from odbench.config.spec import ModelSpec, RunSpec
from odbench.dataset.types import Dataset
from odbench.errors import PipelineError
from odbench.pipeline.architectures import architecture_of
from odbench.pipeline.fields import Editor, effective, get, which
from odbench.pipeline.fine_tune import set_start
from odbench.pipeline.from_file import resolve_model
from odbench.pipeline.learning import fit_learning_rate
from odbench.pipeline.parse import ROOT, parse_fields
from odbench.pipeline.starting import StartingPoint
from odbench.pipeline.tasks import fit_task
from odbench.results import Edit


@dataclass(frozen=True)
class PipelineConfig:
    """The configuration of one run, and how it differs from its model's."""

    proto: TrainEvalPipelineConfig
    edits: list[Edit]

    @property
    def text(self) -> str:
        """``pipeline.config`` in protobuf text format, ending in a newline."""
        return str(text_format.MessageToString(self.proto))


def base_proto(model: ModelSpec) -> TrainEvalPipelineConfig:
    """A model's configuration as described, before a run sets anything.

    Raises:
        ConfigError: ``model=from_pipeline`` without a file.
        PipelineError: A file that cannot be read, an unknown field, a wrong type, an unknown enum
            value, or two members of one ``oneof``.
    """
    proto = TrainEvalPipelineConfig()
    parse_fields(resolve_model(model).pipeline, proto, ROOT)
    return proto


def build_pipeline(
    spec: RunSpec, dataset: Dataset, start: StartingPoint | None = None
) -> PipelineConfig:
    """The configuration of a run: its model's, with every change that the run makes recorded.

    Where the run and the model's fields set the same thing, the run wins.

    Args:
        spec: The run.
        dataset: What it trains on and evaluates.
        start: The checkpoint that it starts from; None for random weights.

    Raises:
        PipelineError: As :func:`base_proto`; or no architecture that can be trained, a checkpoint
            that does not fit it, no learning rate, a schedule that does not fit, or an
            augmentation that is not one.
        DatasetError: The model learns masks or keypoints, and the data set has none.
    """
    editor = Editor(base_proto(spec.model))
    _set_classes(editor, dataset.num_classes)
    editor.set("train_config.batch_size", spec.train.batch_size)
    editor.set("train_config.num_steps", spec.num_steps)
    fit_learning_rate(editor, spec)
    _check_no_averages(editor)
    _check_no_rewriting(editor)
    if get(editor.base, "train_config.use_bfloat16"):
        editor.set("train_config.use_bfloat16", False)  # for TPUs: it would cast the images
    if spec.augmentation.options is not None:
        _set_augmentation(editor, spec.augmentation.options)
    set_start(editor, start)
    _set_input(editor, "train_input_reader", dataset, "train")
    editor.set("eval_config.batch_size", spec.eval_batch_size)
    _set_eval_input(editor, dataset)
    fit_task(editor, dataset)
    return PipelineConfig(editor.proto, editor.edits)


def _set_classes(editor: Editor, classes: int) -> None:
    editor.set(f"model.{architecture_of(editor.base)}.num_classes", classes)


def _check_no_averages(editor: Editor) -> None:
    """Refuse moving averages of the weights: the training loop does not keep them."""
    name = "train_config.optimizer.use_moving_average"
    if effective(editor.base, name):
        raise PipelineError(
            "moving averages of the weights are not supported",
            where=f"{ROOT}.{name}",
            value="true" if get(editor.base, name) else "not set, which means true",
            allowed="false",
            fix=f"set it: {ROOT}.{name}=false",
        )


def _check_no_rewriting(editor: Editor) -> None:
    """Refuse quantisation-aware training: TensorFlow 2 would leave it out in silence."""
    if get(editor.base, "graph_rewriter"):
        raise PipelineError(
            "the graph is rewritten for quantisation by TensorFlow 1 alone",
            where=f"{ROOT}.graph_rewriter",
            value=get(editor.base, "graph_rewriter"),
            allowed="not set",
            fix=f"train without: {ROOT}.graph_rewriter=null",
        )


def _set_augmentation(editor: Editor, options: list[dict[str, object]]) -> None:
    for i, option in enumerate(options):
        where, step = f"augmentation.options[{i}]", PreprocessingStep()
        parse_fields(option, step, where)
        if not step.ListFields():
            raise PipelineError(
                "names no augmentation",
                where=where,
                value=option,
                allowed="one field of PreprocessingStep",
                fix="such as {random_horizontal_flip: {}}; drop the entry if none is meant",
            )
    editor.set("train_config.data_augmentation_options", options)


def _set_eval_input(editor: Editor, dataset: Dataset) -> None:
    readers = len(get(editor.base, "eval_input_reader"))
    if readers > 1:
        raise PipelineError(
            "more than one reader to evaluate",
            where=f"{ROOT}.eval_input_reader",
            value=f"{readers} readers",
            allowed="one",
            fix="keep the first; the run sets what it reads",
        )
    editor.set("eval_input_reader[0].shuffle", False)
    editor.set("eval_input_reader[0].num_epochs", 1)
    _set_input(editor, "eval_input_reader[0]", dataset, "val")


def _set_input(editor: Editor, reader: str, dataset: Dataset, split: str) -> None:
    source = which(editor.proto, reader, "input_reader")
    if source not in (None, "tf_record_input_reader"):
        editor.clear(f"{reader}.{source}")
    editor.set(f"{reader}.label_map_path", str(dataset.label_map))
    records = [str(path) for path in dataset.splits[split].records]
    editor.set(f"{reader}.tf_record_input_reader.input_path", records)
