"""What a pass over every file of a dataset finds: counts, sizes, ratios, and all that is wrong."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fundusseg.data.expert_fusion import fuse
from fundusseg.data.plausibility import find_doubts
from fundusseg.errors import EmptyMaskError, FundusSegError, ImageError, ImplausibleMaskError, OrphanError
from fundusseg.imaging.roi import bounds
from fundusseg.measures.cup_disc import vertical_ratio
from fundusseg.measures.label_map import label_map
from fundusseg.sample import CUP, DISC, Record, Region, Sample


@dataclass
class Inspection:
    """One dataset, filled sample by sample.

    Attributes:
        source: Name of the dataset.
        pictures: Samples seen, the bad ones included.
        patients: Different patients.
        regions: Samples that label each region.
        experts: Most annotations of one region in a sample.
        sizes: Samples of each width and height.
        diagnoses: Samples of each diagnosis, ``"not told"`` included.
        ratios: Vertical cup/disc ratio of each sample that labels both, experts fused by majority.
        unreadable: What files could not be decoded.
        orphans: Why pictures and annotations could not be paired; the dataset is then not read further.
        empty: Annotations in which nothing is marked.
        wrong: Annotations of another size or code, and whatever else cannot be used.
        duplicates: Pictures that show the same photograph as another of the datasets.
        implausible: Annotations that no eye can have.
        doubts: Annotations that few eyes can have; nobody has to act on them.
        remarks: What should be known of the folder: counts beside what was published, and what was not taken.
    """

    source: str
    pictures: int = 0
    patients: set[str] = field(default_factory=set)
    regions: Counter[Region] = field(default_factory=Counter)
    experts: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    diagnoses: Counter[str] = field(default_factory=Counter)
    ratios: list[float] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    duplicates: set[str] = field(default_factory=set)
    implausible: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def __call__(self, record: Record, outcome: Sample | FundusSegError) -> None:
        """Add one sample, or why there is none."""
        self.pictures += 1
        self.patients.add(record.patient)
        self.diagnoses[record.diagnosis or "not told"] += 1
        self.regions.update(dict.fromkeys(record.regions, 0))  # labelled, even where no file of it can be used
        if isinstance(outcome, FundusSegError):
            self.fail(outcome)
            return
        height, width = outcome.image.shape[:2]
        self.sizes[width, height] += 1
        for region in record.regions:
            self.regions[region] += 1
            self.experts = max(self.experts, len(outcome.of(region)))
        try:
            self.doubts += [f"{doubt.kind}: {doubt.detail}: {record.image}" for doubt in find_doubts(outcome)]
        except ImplausibleMaskError as error:
            self.fail(error)
        if outcome.of(DISC) and outcome.of(CUP):
            self._measure(outcome)

    def fail(self, error: FundusSegError) -> None:
        """Note what is wrong with a file, or with the dataset as a whole."""
        lists = (
            (ImageError, self.unreadable),
            (OrphanError, self.orphans),
            (EmptyMaskError, self.empty),
            (ImplausibleMaskError, self.implausible),
        )
        next((found for kind, found in lists if isinstance(error, kind)), self.wrong).append(str(error))

    def _measure(self, sample: Sample) -> None:
        disc, cup = (fuse(sample.of(region), "majority") for region in (DISC, CUP))
        # Nothing counts outside the disc's box, which is a small part of a photograph.
        if (box := bounds(disc > 0)) is None:
            return
        masks = np.stack([disc[box.slices], cup[box.slices]]).astype(np.float32) / np.float32(255)
        ratio = vertical_ratio(label_map(masks, (DISC, CUP)))
        if not np.isnan(ratio):
            self.ratios.append(ratio)

    @property
    def problems(self) -> list[str]:
        """Every sentence that somebody has to act on."""
        return [*self.orphans, *self.unreadable, *self.empty, *self.wrong, *self.implausible]

    def row(self) -> dict[str, Any]:
        """The dataset's line of the table, as text."""
        low, middle, high = np.percentile(self.ratios, [0, 50, 100]) if self.ratios else (np.nan,) * 3
        return {
            "source": self.source,
            "pictures": str(self.pictures),
            "patients": str(len(self.patients)),
            "regions": ", ".join(f"{region} {count}" for region, count in self.regions.items()),
            "experts": str(self.experts),
            "sizes": _sizes(self.sizes),
            "diagnosis": ", ".join(f"{name} {count}" for name, count in sorted(self.diagnoses.items())),
            "vertical ratio": f"{low:.2f} {middle:.2f} {high:.2f}" if self.ratios else "-",
            "unreadable": str(len(self.unreadable)),
            "orphans": str(len(self.orphans)),
            "empty masks": str(len(self.empty)),
            "wrong masks": str(len(self.wrong)),
            "implausible masks": str(len(self.implausible)),
            "doubtful masks": str(len(self.doubts)),
            "duplicates": str(len(self.duplicates)),
        }


def _sizes(sizes: Counter[tuple[int, int]]) -> str:
    """``"1634 x 1634"``, or the smallest and the largest of several."""
    if not sizes:
        return "-"
    names = [f"{width} x {height}" for width, height in (min(sizes), max(sizes))]
    return names[0] if len(sizes) == 1 else f"{names[0]} .. {names[1]} ({len(sizes)})"
