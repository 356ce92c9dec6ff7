"""Class paths that have moved: configurations, checkpoints and bundles of fundusseg 0.1 still name the old ones."""

import re

_MOVED = {
    "training": {
        "losses": ("BCELoss DiceLoss FocalLoss JaccardLoss LogDiceLoss TverskyLoss WeightedBCELoss WeightedSum"),
        "schedules": "Cosine OneCycle Plateau",
        "finetuning": "TwoStage",
        "thresholds": "ThresholdSearch",
        "averaging": "AveragedWeights",
        "callbacks": "ContourPanel",
        "task": "SegmentationTask",
    },
    "data": {
        "augment": "Affine Augmentation CoarseElastic",
        "variants": "Variants",
        "border": "BorderWeights",
        "datamodule": "FundusDataModule",
        "preparation": "Preparation",
    },
    "xla": {"compilations": "CompileMonitor"},
}

RENAMED = {
    f"fundusseg.{module}.{name}": f"fundusseg.{room}.{name}"
    for room, modules in _MOVED.items()
    for module, names in modules.items()
    for name in names.split()
}
"""Today's class path by that of fundusseg 0.1; the entries go with version 1.0."""

_OLD = re.compile("|".join(rf"(?<![\w.]){re.escape(path)}(?!\w)" for path in RENAMED))


def renew(text: str) -> str:
    """Replace class paths of fundusseg 0.1 by today's.

    >>> renew("{class_path: fundusseg.losses.DiceLoss}")
    '{class_path: fundusseg.training.DiceLoss}'
    """
    return _OLD.sub(lambda found: RENAMED[found[0]], text)
