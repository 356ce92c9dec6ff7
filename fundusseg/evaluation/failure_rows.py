"""What choosing a cut-off on the risk of failure takes: signs beside the truth, photograph by photograph."""

import math

from fundusseg.data.expert_fusion import fuse
from fundusseg.inference.failure_detection import FailureRow
from fundusseg.inference.predictor import Predictor
from fundusseg.measures.cup_disc import measure
from fundusseg.measures.label_map import label_map_of_masks, region_mask
from fundusseg.measures.region_metrics import overlap
from fundusseg.sample import CUP, DISC, Sample


def failure_row(predictor: Predictor, sample: Sample) -> FailureRow | None:
    """Predict one photograph from end to end, and compare.

    Args:
        predictor: Its networks must not know the sample, and for a cut-off that is to hold on strange cameras not even
            its source.
        sample: With a drawn disc; without a drawn cup the disc alone is compared.

    Returns:
        None where no outline was drawn: that such a photograph needs a person is clear without a cut-off.
    """
    found = predictor(sample.image)
    if found.signs is None:
        return None
    truth = {region: fuse(sample.of(region), "majority") > 127 for region in (DISC, CUP) if sample.of(region)}
    disc = region_mask(found.label_map, DISC, predictor.description.preparation.regions)
    ratio = math.nan
    if CUP in truth:
        # Not the prediction's own ratio: what is rejected keeps none.
        drawn = measure(found.label_map, predictor.description.preparation.regions).vertical_cdr
        ratio = drawn - measure(label_map_of_masks(truth, (DISC, CUP))).vertical_cdr
    return FailureRow(sample.record.source, found.signs, ratio, overlap(disc, truth[DISC]).dice)
