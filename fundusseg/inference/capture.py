"""A photograph as it was captured: its pixels, and what its DICOM file says of eye, patient, date and device."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fundusseg.imaging.dicom_files import photograph_header
from fundusseg.imaging.image_files import read_with_light
from fundusseg.inference.photograph_list import Photograph
from fundusseg.sample import Eye, Image

if TYPE_CHECKING:
    from fundusseg.dicom.header import PhotographHeader
    from fundusseg.inference.prediction import Prediction
    from fundusseg.inference.predictor import Predictor


@dataclass(frozen=True, eq=False, slots=True)
class Capture:
    """A photograph that is read.

    Attributes:
        image: H x W x 3 uint8 RGB.
        light: As `fundusseg.imaging.image_files.read_with_light` gives it.
        header: Of a DICOM file; None of any other.
    """

    image: Image
    light: float
    header: "PhotographHeader | None" = None

    def predict(self, predictor: "Predictor", photograph: Photograph) -> "Prediction":
        """Segment and measure it; a list's word on the eye comes before the file's.

        Raises:
            ImageError: The list says something that is no eye.
        """
        listed = photograph.side()
        told = listed or self._eye
        prediction = predictor(self.image, told, photograph.path.name, self.light)
        return replace(prediction, eye_from="DICOM") if told and not listed and prediction.eye else prediction

    @property
    def _eye(self) -> Eye | None:
        return self.header.eye if self.header else None

    def columns(self, photograph: Photograph) -> dict[str, Any]:
        """What a table says of a DICOM photograph; nothing of any other.

        The pixel spacing is the camera's claim on the retina, nominal, and measures nothing here.
        """
        header = self.header
        if header is None:
            return {}
        remarks = list(header.remarks)
        listed = photograph.side()
        if listed and header.eye and listed != header.eye:
            remarks.append(f"the list says {listed}, the file {header.eye}")
        return {
            **({"frame": photograph.page + 1} if header.frames > 1 else {}),
            "patient": header.patient,
            "date": header.date,
            "device": header.device,
            "nominal_mm_per_pixel": header.nominal_spacing[0] if header.nominal_spacing else "",
            "remarks": "; ".join(remarks),
        }


def read_capture(photograph: Photograph) -> Capture:
    """Read a photograph's file.

    Raises:
        ImageError: It cannot be read.
    """
    header = photograph_header(photograph.path)
    return Capture(*read_with_light(photograph.path, photograph.page), header)
