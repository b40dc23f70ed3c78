"""Pipeline configurations for the linter: a good one, and what makes a rule object to it or not."""

GOOD = """
model {
  ssd {
    num_classes: 2
    image_resizer { fixed_shape_resizer { height: 320 width: 320 } }
    feature_extractor { type: "ssd_mobilenet_v2_fpn_keras" fpn { min_level: 3 max_level: 7 } }
  }
}
train_config {
  batch_size: 8
  num_steps: 1000
  optimizer {
    momentum_optimizer {
      learning_rate {
        cosine_decay_learning_rate {
          learning_rate_base: 0.1 warmup_learning_rate: 0.01 total_steps: 1000 warmup_steps: 100
        }
      }
    }
    use_moving_average: false
  }
  data_augmentation_options { random_horizontal_flip { } }
  fine_tune_checkpoint: "%(dir)s/ckpt-0"
  fine_tune_checkpoint_type: "detection"
  fine_tune_checkpoint_version: V2
}
train_input_reader {
  label_map_path: "%(dir)s/map.pbtxt"
  tf_record_input_reader { input_path: "%(dir)s/train-?.tfrecord" }
}
eval_input_reader {
  label_map_path: "%(dir)s/map.pbtxt"
  tf_record_input_reader { input_path: "%(dir)s/val.tfrecord" }
}
"""

SSD = "model.ssd"
RESIZER = f"{SSD}.image_resizer"
FIXED = f"{RESIZER}.fixed_shape_resizer"
EXTRACTOR = f"{SSD}.feature_extractor"
TRAIN = "train_config"
READER = "train_input_reader"
EVAL = "eval_input_reader"
RATE = f"{TRAIN}.optimizer.momentum_optimizer.learning_rate"
COSINE = f"{RATE}.cosine_decay_learning_rate"
STEP = f"{TRAIN}.data_augmentation_options"
FLIP = f"{STEP}[0].random_horizontal_flip.keypoint_flip_permutation"
PREDICTOR = "second_stage_box_predictor.mask_rcnn_box_predictor.predict_instance_masks"
CHECKPOINT = f"{TRAIN}.fine_tune_checkpoint"

RESNET = {"type": "faster_rcnn_resnet50_keras"}
FRCNN = {"num_classes": 2, "feature_extractor": RESNET, "image_resizer": {"identity_resizer": {}}}
CENTER = {
    "num_classes": 2,
    "feature_extractor": {"type": "hourglass_52"},
    "image_resizer": {"fixed_shape_resizer": {"height": 512, "width": 512}},
}
MANUAL = {"schedule": [{"step": 100, "learning_rate": 0.1}, {"step": 500, "learning_rate": 0.01}]}


def keep_ratio(**fields):
    return {RESIZER: {"keep_aspect_ratio_resizer": {"max_dimension": 320, **fields}}}


def center(**fields):
    return {"model": {"center_net": {**CENTER, **fields}}}


def hourglass(size):
    sides = {"height": size, "width": size}
    return center(image_resizer={"fixed_shape_resizer": sides})


# rule, what is set (None: unset), the field that is found wrong, its severity
BAD = [
    ("architecture", {"model": {}}, "model", "error"),
    (
        "architecture",
        {"model": {"experimental_model": {"name": "x"}}},
        "model.experimental_model",
        "error",
    ),
    ("extractor", {f"{EXTRACTOR}.type": "ssd_mobilenet_v2"}, f"{EXTRACTOR}.type", "error"),
    ("extractor", {f"{EXTRACTOR}.type": None}, f"{EXTRACTOR}.type", "error"),
    ("num_classes", {f"{SSD}.num_classes": None}, f"{SSD}.num_classes", "error"),
    ("input_size", {f"{FIXED}.height": 300}, f"{FIXED}.height", "error"),
    ("input_size", {f"{FIXED}.width": 32}, f"{FIXED}.width", "error"),
    ("input_size", {RESIZER: None}, RESIZER, "error"),
    (
        "input_size",
        keep_ratio(min_dimension=300),
        f"{RESIZER}.keep_aspect_ratio_resizer",
        "warning",
    ),
    (
        "input_size",
        keep_ratio(max_dimension=330, pad_to_max_dimension=True),
        f"{RESIZER}.keep_aspect_ratio_resizer.max_dimension",
        "error",
    ),
    (
        "input_size",
        hourglass(544),
        "model.center_net.image_resizer.fixed_shape_resizer.height",
        "error",
    ),
    (
        "input_size",
        {f"{EXTRACTOR}.type": "ssd_efficientnet-b0_bifpn_keras"},
        f"{FIXED}.height",
        "error",
    ),
    ("pyramid_levels", {f"{EXTRACTOR}.fpn.min_level": 9}, f"{EXTRACTOR}.fpn.min_level", "error"),
    (
        "keypoint_label_map",
        center(keypoint_estimation_task=[{}]),
        "model.center_net.keypoint_label_map_path",
        "error",
    ),
    ("masks", center(mask_estimation_task={}), f"{READER}.load_instance_masks", "error"),
    (
        "masks",
        {"model": {"faster_rcnn": FRCNN}, f"model.faster_rcnn.{PREDICTOR}": True},
        f"{READER}.load_instance_masks",
        "error",
    ),
    ("quantization", {"graph_rewriter": {"quantization": {}}}, "graph_rewriter", "warning"),
    ("placeholders", {CHECKPOINT: "PATH_TO_BE_CONFIGURED"}, CHECKPOINT, "error"),
    (
        "placeholders",
        {f"{READER}.tf_record_input_reader.input_path": ["PATH_TO_BE_CONFIGURED/a"]},
        f"{READER}.tf_record_input_reader.input_path",
        "error",
    ),
    ("readers", {READER: None}, READER, "error"),
    ("readers", {EVAL: None}, EVAL, "error"),
    ("readers", {EVAL: [{}, {}]}, EVAL, "error"),
    (
        "readers",
        {f"{READER}.tf_record_input_reader": None},
        f"{READER}.tf_record_input_reader",
        "error",
    ),
    (
        "readers",
        {f"{READER}.tf_record_input_reader.input_path": None},
        f"{READER}.tf_record_input_reader.input_path",
        "error",
    ),
    (
        "readers",
        {f"{READER}.tf_record_input_reader": None, f"{READER}.external_input_reader": {}},
        f"{READER}.external_input_reader",
        "error",
    ),
    (
        "records",
        {f"{READER}.tf_record_input_reader.input_path": ["/nowhere/a-?.tfrecord"]},
        f"{READER}.tf_record_input_reader.input_path",
        "error",
    ),
    (
        "label_maps",
        {f"{READER}.label_map_path": "/nowhere/map.pbtxt"},
        f"{READER}.label_map_path",
        "error",
    ),
    ("label_maps", {f"{READER}.label_map_path": None}, f"{READER}.label_map_path", "error"),
    ("label_maps", {f"{SSD}.num_classes": 1}, f"{READER}.label_map_path", "error"),
    ("label_maps", {f"{SSD}.num_classes": 3}, f"{READER}.label_map_path", "warning"),
    (
        "outputs",
        {"eval_config.export_path": "/nowhere/at/all"},
        "eval_config.export_path",
        "warning",
    ),
    ("augmentation", {STEP: [{}]}, f"{STEP}[0]", "error"),
    ("augmentation", {FLIP: [1, 0]}, FLIP, "warning"),
    ("augmentation", {f"{READER}.num_keypoints": 2}, FLIP, "error"),
    ("augmentation", {f"{READER}.num_keypoints": 3, FLIP: [1, 0]}, FLIP, "error"),
    (
        "augmentation",
        {STEP: [{"convert_class_logits_to_softmax": {}}]},
        f"{STEP}[0].convert_class_logits_to_softmax",
        "error",
    ),
    ("batch_size", {f"{TRAIN}.batch_size": 0}, f"{TRAIN}.batch_size", "error"),
    ("batch_size", {f"{TRAIN}.batch_size": None}, f"{TRAIN}.batch_size", "warning"),
    ("num_steps", {f"{TRAIN}.num_steps": None}, f"{TRAIN}.num_steps", "error"),
    (
        "replicas",
        {f"{TRAIN}.sync_replicas": True, f"{TRAIN}.replicas_to_aggregate": 8},
        f"{TRAIN}.replicas_to_aggregate",
        "warning",
    ),
    (
        "moving_average",
        {f"{TRAIN}.optimizer.use_moving_average": None},
        f"{TRAIN}.optimizer.use_moving_average",
        "error",
    ),
    ("bfloat16", {f"{TRAIN}.use_bfloat16": True}, f"{TRAIN}.use_bfloat16", "warning"),
    ("optimizer", {f"{TRAIN}.optimizer": None}, f"{TRAIN}.optimizer", "error"),
    ("optimizer", {RATE: None}, RATE, "error"),
    ("cosine", {f"{COSINE}.total_steps": 500}, f"{COSINE}.total_steps", "warning"),
    ("cosine", {f"{COSINE}.total_steps": 5000}, f"{COSINE}.total_steps", "warning"),
    ("cosine", {f"{COSINE}.warmup_steps": 1000}, f"{COSINE}.warmup_steps", "error"),
    (
        "cosine",
        {f"{COSINE}.warmup_steps": 1500, f"{COSINE}.total_steps": 5000},
        f"{COSINE}.warmup_steps",
        "warning",
    ),
    ("cosine", {f"{COSINE}.warmup_learning_rate": 0.2}, f"{COSINE}.warmup_learning_rate", "error"),
    (
        "manual_steps",
        {RATE: {"manual_step_learning_rate": {"schedule": [{"step": 5}, {"step": 5}]}}},
        f"{RATE}.manual_step_learning_rate.schedule",
        "error",
    ),
    (
        "manual_steps",
        {RATE: {"manual_step_learning_rate": MANUAL}, f"{TRAIN}.num_steps": 400},
        f"{RATE}.manual_step_learning_rate.schedule[1].step",
        "warning",
    ),
    (
        "burn_in",
        {RATE: {"exponential_decay_learning_rate": {"decay_steps": 0}}},
        f"{RATE}.exponential_decay_learning_rate.decay_steps",
        "error",
    ),
    (
        "burn_in",
        {RATE: {"exponential_decay_learning_rate": {"burnin_steps": 2000}}},
        f"{RATE}.exponential_decay_learning_rate.burnin_steps",
        "warning",
    ),
    ("checkpoint_type", {f"{CHECKPOINT}_type": "everything"}, f"{CHECKPOINT}_type", "error"),
    ("checkpoint_type", {f"{CHECKPOINT}_type": None}, f"{CHECKPOINT}_type", "warning"),
    (
        "checkpoint_type",
        {**center(), f"{CHECKPOINT}_type": "fine_tune"},
        f"{CHECKPOINT}_type",
        "error",
    ),
    (
        "checkpoint_type",
        {**center(), f"{CHECKPOINT}_type": "classification"},
        f"{CHECKPOINT}_type",
        "error",
    ),
    ("checkpoint_version", {f"{CHECKPOINT}_version": None}, f"{CHECKPOINT}_version", "error"),
    ("checkpoint_version", {f"{CHECKPOINT}_version": "V1"}, f"{CHECKPOINT}_version", "error"),
    ("checkpoint_file", {CHECKPOINT: "/nowhere/ckpt-0"}, CHECKPOINT, "error"),
    ("deprecated", {f"{TRAIN}.max_number_of_boxes": 50}, f"{TRAIN}.max_number_of_boxes", "warning"),
    ("deprecated", {f"{READER}.queue_capacity": 5}, f"{READER}.queue_capacity", "warning"),
]

# What a rule must not object to.
FINE = [
    {},
    {f"{FIXED}.height": 313},  # 40 cells at level 3 do, as 320 pixels have
    {f"{FIXED}.height": 300, f"{EXTRACTOR}.use_explicit_padding": True},
    {f"{FIXED}.height": 300, f"{EXTRACTOR}.pad_to_multiple": 32},
    {f"{FIXED}.height": 300, f"{EXTRACTOR}.type": "ssd_mobilenet_v2_keras"},
    {FIXED: {"height": 512, "width": 640}, f"{EXTRACTOR}.type": "ssd_efficientnet-b0_bifpn_keras"},
    {RESIZER: {"pad_to_multiple_resizer": {"multiple": 32}}},
    keep_ratio(pad_to_max_dimension=True),
    {"model": {"faster_rcnn": FRCNN}},
    {
        "model": {"faster_rcnn": FRCNN},
        f"model.faster_rcnn.{PREDICTOR}": True,
        f"{READER}.load_instance_masks": True,
    },
    center(),
    hourglass(640),
    {**center(keypoint_estimation_task=[{}]), "model.center_net.keypoint_label_map_path": "x"},
    {**center(feature_extractor={"type": "resnet_v2_50"}), f"{CHECKPOINT}_type": "classification"},
    {f"{READER}.num_keypoints": 2, FLIP: [1, 0]},
    {f"{READER}.load_multiclass_scores": True, STEP: [{"convert_class_logits_to_softmax": {}}]},
    {RATE: {"constant_learning_rate": {"learning_rate": 0.1}}},
    {RATE: {"exponential_decay_learning_rate": {"decay_steps": 10**6}}},
    {RATE: {"manual_step_learning_rate": MANUAL}},
    {CHECKPOINT: None, f"{CHECKPOINT}_type": None, f"{CHECKPOINT}_version": None},
    {CHECKPOINT: "gs://elsewhere/ckpt-0", f"{CHECKPOINT}_type": "full"},
    {f"{TRAIN}.replicas_to_aggregate": 8},
]
