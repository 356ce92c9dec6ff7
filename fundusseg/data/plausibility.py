"""Whether a mask can be what it is said to be: looked at when a sample is prepared, before anything is learnt of it.

A fault that no eye can have is an error; what an eye might have, seldom, is a doubt that is told and learnt all the
same. The limits are set on 1,362 discs and 660 cups of seven public sets, of which none is refused and none doubted:
each is one part without a hole inside its picture, fills at least 0.94 of its convex hull, is 0.6 to 2.2 times as high
as wide, and at most 0.2 % of a cup lies outside its disc.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import cv2
import numpy as np
import numpy.typing as npt

from fundusseg.data.mask_shape import MaskShape
from fundusseg.errors import ImplausibleMaskError
from fundusseg.sample import CUP, DISC, Annotation, Image, Record, Region, Sample

INVERTED = 0.5
"""Share of the picture's border from which a mask is turned round: it marks the background."""

OUTLINE = 0.5
"""Share of its convex hull, or of its filled outline, below which a mask is a line: a kidney-shaped cup fills 0.8."""

HOLE, SMALL_HOLE = 0.1, 0.01
"""Share of the filled outline that is a hole: a rim around a cup of a vertical ratio of 0.3; a few forgotten pixels."""

NOT_CONVEX = 0.85
"""Share of its convex hull below which a mask is doubted."""

GROWN = 1.2
"""Longer side of the box around all over that around the large parts, from which specks are told."""

OUTSIDE, ELSEWHERE = 0.02, 0.5
"""Share of a cup outside its disc: hand-drawn contours cross by a pixel or two; most of it is no contour's slip."""

MOST = 0.9
"""Share of one region in the other's hull, or in the other, from which it counts as held by it."""

LARGER = 1.1
"""Area of the cup over that of the disc from which they are swapped where the disc lies in the cup."""

RATIO = (0.003, 0.95)
"""Area of the cup over that of the disc: diameters of 0.05 and 0.97; 0.005 to 0.87 in the public sets."""

DISC_SHARE, DOT = (3e-4, 0.7), 2e-5
"""Area of the disc over the picture's. A field of 200 degrees has 6e-4, a square crop around a disc at most 0.79; a dot
has a diameter of half a per cent of the picture's, a tenth of a degree."""

ASPECT = 2.5
"""Height over width, or width over height."""

CROP = 0.4
"""Width of the disc over the picture's from which the picture is a crop, whose border a disc may touch."""

PALE, BRIGHTER = 1.1, 1.25
"""Brightness in the disc over that around it below which the disc's place is looked at in the turned picture, and how
many times brighter it must be there: told of a third to eight tenths of pictures that are turned apart from their masks
by 180 degrees, and of none of the public sets."""

DARK = 0.98
"""Brightness in the disc over that around it in the brightest channel: from 0.997 on in the public sets."""

_SAMPLED = 32
"""Pixels along the disc's box of which the brightness is taken."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is not as it should be with a mask.

    Attributes:
        kind: In words that count: "touches the border".
        detail: With numbers and whose mask it is.
        cure: What to do where it is certainly wrong; empty where it may be an eye's own.
    """

    kind: str
    detail: str
    cure: str = ""


def find_doubts(sample: Sample, regions: Collection[Region] = (DISC, CUP)) -> list[Doubt]:
    """Look at each expert's disc and cup of one sample, and at how they lie to each other.

    Args:
        sample: With any regions.
        regions: What is used of it; of these disc and cup are looked at, as other regions may have any form.

    Returns:
        What is doubtful, each kind once.

    Raises:
        ImplausibleMaskError: A mask is certainly wrong; the sentence names its files and the cure.
    """
    looked_at = {DISC, CUP}.intersection(regions)
    masks = [(one, MaskShape(one.mask)) for one in sample.annotations if one.region in looked_at and one.mask.any()]
    found: dict[str, Doubt] = {}
    # The order in which one fault explains another: of a rim for a disc, form and cup are wrong too.
    for doubt in chain(_turned(masks), _rims(masks), _alone(masks, sample.image), _together(masks)):
        if doubt.cure:
            raise _error(sample.record, doubt)
        found.setdefault(doubt.kind, doubt)
    return list(found.values())


def large_parts(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """A mask without its specks: parts below a tenth of the largest one's area.

    Args:
        mask: H x W bool.

    >>> mask = np.zeros((90, 90), bool)
    >>> mask[10:30, 10:30] = mask[80, 80] = True
    >>> int(mask.sum()), int(large_parts(mask).sum())
    (401, 400)
    """
    if not mask.any() or not (shape := MaskShape(mask)).specks:
        return mask
    kept = np.zeros_like(mask)
    kept[shape.box.slices] = shape.large.astype(np.bool_)
    return kept


def summary(source: str, doubts: Sequence[Sequence[Doubt]]) -> str:
    """One line of a dataset's doubts, without its pictures' names; empty where there are none.

    Args:
        source: The dataset.
        doubts: Of each of its pictures.

    >>> summary("mine", [[Doubt("disc touches the border", "")], []])
    'mine: labels of 1 of 2 pictures are doubtful: 1 disc touches the border'
    """
    kinds = Counter(doubt.kind for found in doubts for doubt in found)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    doubtful = sum(bool(found) for found in doubts)
    return f"{source}: labels of {doubtful} of {len(doubts)} pictures are doubtful: {counts}" if doubtful else ""


_Masks = Sequence[tuple[Annotation, MaskShape]]


def _turned(masks: _Masks) -> Iterator[Doubt]:
    """Masks that mark the background."""
    for annotation, shape in masks:
        if (border := shape.border()) > INVERTED:
            yield Doubt(
                f"{annotation.region} turned round",
                f"{border:.0%} of the picture's border marked as {annotation.region} of {annotation.expert}",
                "turn the mask round: inside is what is marked, background is 0",
            )


def _pairs(masks: _Masks) -> Iterator[tuple[str, MaskShape, MaskShape, int]]:
    """Each expert with a disc and a cup, these two, and the pixels that they share."""
    discs = {annotation.expert: shape for annotation, shape in masks if annotation.region == DISC}
    for annotation, cup in masks:
        if annotation.region == CUP and (disc := discs.get(annotation.expert)):
            yield annotation.expert, disc, cup, cv2.countNonZero(disc.mask[cup.box.slices] & cup.part)


def _rims(masks: _Masks) -> Iterator[Doubt]:
    """Discs without their cup, which fills what they enclose."""
    for expert, disc, cup, common in _pairs(masks):
        outside = 1 - common / cup.area
        if outside <= ELSEWHERE:
            continue
        inside = cv2.countNonZero(cup.mask[disc.box.slices] & disc.hull)
        both = cv2.countNonZero((cup.mask[disc.box.slices] | disc.part) & disc.hull)
        if inside > MOST * cup.area and both > MOST * cv2.countNonZero(disc.hull):
            yield Doubt(
                "rim as disc",
                f"{outside:.0%} of the cup outside the disc of {expert}, in its hole",
                "mark the whole disc, which holds the cup, not the rim",
            )


def _alone(masks: _Masks, image: Image) -> Iterator[Doubt]:
    """What each mask says by itself."""
    for annotation, shape in masks:
        region, whose = annotation.region, f"{annotation.region} of {annotation.expert}"
        if (border := shape.border()) and shape.box.width < CROP * shape.mask.shape[1]:
            yield Doubt(f"{region} touches the border", f"{border:.1%} of the picture's border marked as {whose}")
        yield from _form(region, whose, shape)
        if region == DISC:
            yield from _place(whose, shape, image)


def _form(region: Region, whose: str, shape: MaskShape) -> Iterator[Doubt]:
    """Whether it is one area."""
    # A closed line encloses a hole; an open one leaves most of its hull empty.
    fill = min(1 - shape.hole, shape.solidity_of_parts)
    if shape.count > 2:  # dashes
        fill = min(fill, shape.solidity)
    if fill < OUTLINE:
        yield Doubt(
            f"outline as {region}",
            f"{shape.area} pixels as {whose}, {fill:.0%} of what they enclose: a line, not an area",
            "fill the outlines: every pixel of the region is marked, not its border alone",
        )
    elif shape.hole > HOLE:
        yield Doubt(
            f"{region} with a hole",
            f"a hole of {shape.hole:.0%} in the {whose}, as where the rim is given for the disc or for the cup",
            "mark the whole region: the disc holds the cup too",
        )
    elif shape.hole > SMALL_HOLE:
        yield Doubt(f"{region} with a hole", f"a hole of {shape.hole:.1%} in the {whose}")
    elif shape.solidity < NOT_CONVEX and shape.count == 1:
        yield Doubt(f"{region} of an odd form", f"the {whose} fills {shape.solidity:.0%} of its convex hull")
    if shape.count > 1:
        yield Doubt(f"{region} in several parts", f"{shape.count} large parts as {whose}")
    if shape.grown > GROWN:
        yield Doubt(
            f"{region} with specks", f"{shape.specks} specks make the box of the {whose} {shape.grown:.1f} times larger"
        )
    aspect = shape.box.height / shape.box.width
    if max(aspect, 1 / aspect) > ASPECT and shape.grown <= GROWN:
        yield Doubt(f"{region} of an odd form", f"the {whose} is {aspect:.2f} times as high as wide")


def _place(whose: str, shape: MaskShape, image: Image) -> Iterator[Doubt]:
    """Whether it can be a disc of this picture."""
    share = shape.area / shape.mask.size
    if share < DOT:
        yield Doubt(
            "a dot as disc",
            f"{shape.area} pixels of {shape.mask.size} as {whose}",
            "mark the whole disc, or remove the picture",
        )
    elif not DISC_SHARE[0] <= share <= DISC_SHARE[1]:
        yield Doubt("disc of an odd size", f"the {whose} is {share:.2%} of its picture")
    brightness = _brightness(shape, image)
    if brightness < PALE:
        turned = {name: _brightness(shape, view) for name, view in _views(image)}
        name = max(turned, key=turned.__getitem__)
        if turned[name] > BRIGHTER * brightness:
            detail = f"where the {whose} lies, the picture is {brightness:.2f} times as bright as around"
            yield Doubt(f"disc of a picture that is {name}", f"{detail}, and {turned[name]:.2f} times if {name}")
    if brightness < DARK:
        yield Doubt("disc darker than what is around it", f"the {whose} is {brightness:.2f} times as bright")


def _views(image: Image) -> Iterator[tuple[str, Image]]:
    """The same pixels as a camera held otherwise has them."""
    yield "turned by 180 degrees", image[::-1, ::-1]
    yield "mirrored", image[:, ::-1]
    yield "upside down and mirrored", image[::-1]


def _brightness(shape: MaskShape, image: Image) -> float:
    """Brightness in the mask over that around it within half its box's side, in the channel where it is highest."""
    box = shape.box
    around = (
        slice(max(0, box.top - box.height // 2), box.top + 3 * box.height // 2),
        slice(max(0, box.left - box.width // 2), box.left + 3 * box.width // 2),
    )
    step = max(1, max(box.height, box.width) // _SAMPLED)
    mask, pixels = (plane[around][::step, ::step] for plane in (shape.mask.view(np.bool_), image))
    if mask.all() or not mask.any():
        return 1.0
    inner, outer = (pixels[part].mean(axis=0) for part in (mask, ~mask))
    return float(((inner + 1) / (outer + 1)).max())  # a black picture is no reason


def _together(masks: _Masks) -> Iterator[Doubt]:
    """How each expert's cup lies to the same expert's disc."""
    for expert, disc, cup, common in _pairs(masks):
        outside, ratio = 1 - common / cup.area, cup.area / disc.area
        detail = f"{outside:.0%} of the cup outside the disc of {expert}"
        if outside > OUTSIDE and common > MOST * disc.area and ratio > LARGER:
            yield Doubt("disc and cup swapped", f"{detail}, which it holds", "exchange the masks of disc and cup")
        elif outside > ELSEWHERE:
            yield Doubt("cup outside its disc", detail, "restore the masks that belong to this picture")
        elif outside > OUTSIDE:
            yield Doubt("cup outside its disc", detail)
        elif not RATIO[0] <= ratio <= RATIO[1]:
            yield Doubt("cup of an odd size", f"the cup of {expert} is {ratio:.1%} of its disc")


def _error(record: Record, doubt: Doubt) -> ImplausibleMaskError:
    files = ", ".join(map(str, dict.fromkeys(record.files.values())))
    of = f"{record.image} ({files})" if files else f"{record.image}"
    return ImplausibleMaskError(f"{doubt.kind}: {doubt.detail}, for {of}", "masks that an eye can have", doubt.cure)
