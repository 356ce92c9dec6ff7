"""The words of every table, file and sentence: one key and one heading for each metric, each protocol's name."""

from fundusseg.measures.picture_scores import HOURS
from fundusseg.sample import CUP, DISC

BOTH = f"{DISC}+{CUP}"
"""The region of what is measured on disc and cup together."""

VCDR_ERROR = "vertical_cdr_error"
"""Key of the absolute error of the vertical cup/disc ratio: of one picture, and of many its mean."""

_AGREEMENT = {
    "error": "absolute error",
    "bias": "bias",
    "limit_low": "lower limit of agreement",
    "limit_high": "upper limit of agreement",
    "icc": "ICC(2,1)",
    "pearson": "Pearson's r",
}

METRIC_NAMES = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "Precision",
    "recall": "Recall",
    "accuracy": "Pixel accuracy",
    "hd95": "HD95 (px)",
    "hd95_dd": "HD95 (dd)",
    "assd": "ASSD (px)",
    "assd_dd": "ASSD (dd)",
    "centre_distance": "Centre distance (px)",
    "centre_distance_dd": "Centre distance (dd)",
    "radii_ratio": "Radii ratio",
    "radii_ratio_above_0.90": "Radii ratio above 0.90",
    "radii_ratio_above_0.85": "Radii ratio above 0.85",
    "ece": "Calibration error",
    **{
        f"{ratio}_cdr_{statistic}": f"{ratio[0]}CDR {name}"
        for ratio in ("vertical", "horizontal", "area")
        for statistic, name in _AGREEMENT.items()
    },
    "rim_error": "Rim profile, absolute error",
    **{name: f"Rim bias at {hour} o'clock" for hour, name in enumerate(HOURS, 1)},
    "vertical_cdr_auc": "Glaucoma AUC",
    "vertical_cdr_true_auc": "Glaucoma AUC of the experts' vCDR",
    "rim_min_ratio_auc": "Glaucoma AUC of the narrowest rim",
    "rim_min_ratio_true_auc": "Glaucoma AUC of the experts' narrowest rim",
}
"""Headings by key; a metric that is not here is shown by its key."""

LOWER_IS_BETTER = frozenset({"hd95", "hd95_dd", "assd", "assd_dd", VCDR_ERROR})
"""Metrics of which less is better, of those that models are compared in."""

ON_CARD = (
    *("dice", "iou", "hd95_dd", "assd_dd", VCDR_ERROR),
    *("vertical_cdr_bias", "vertical_cdr_icc", "vertical_cdr_auc", "ece", "accuracy"),
)
"""Metrics that a model card shows; all others stand in the evaluation's own files."""

AUTOMATIC_ROI, GROUND_TRUTH_ROI = "automatic_roi", "ground_truth_roi"
"""Protocols of an evaluation: the region of interest comes from the networks, or from the ground truth."""

OLD_PROTOCOL_NAMES = {"clean": AUTOMATIC_ROI, "seed": GROUND_TRUTH_ROI}
"""What the protocols were called before; command lines and files of then are still read."""


def metric_heading(region: str, metric: str) -> str:
    """A metric's heading with its region; a metric of several regions at once stands alone.

    >>> metric_heading("cup", "hd95"), metric_heading("disc+cup", "vertical_cdr_error")
    ('Cup HD95 (px)', 'vCDR absolute error')
    """
    name = METRIC_NAMES.get(metric, metric)
    return name if "+" in region else f"{region[:1].upper()}{region[1:]} {name}"
