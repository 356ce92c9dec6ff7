"""What a request may ask of a photograph's numbers: the options of `predict`."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from fundusseg.measures.label_map import Smoothing
from fundusseg.sample import Eye


class Options(BaseModel):
    """Query of a request with photographs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    views: Annotated[int | None, Field(ge=1, le=4, description="Mirrored views of each photograph.")] = None
    smoothing: Annotated[Smoothing, Field(description="Of disc and cup.")] = "none"
    millimetres_per_pixel: Annotated[float | None, Field(gt=0, le=1, description="Gives areas in mm2.")] = None
    convention: Annotated[
        float | str,
        # From left to right: a query's "0.5" is a text, which would be taken for a reader's name.
        Field(union_mode="left_to_right", description="Whose cup: consensus, a reader, or a position from -1 to 1."),
    ] = "consensus"
    eye: Annotated[
        Eye | None, Field(description="Of all photographs; told by name or the disc's place if left out.")
    ] = None
    frame: Annotated[
        int | None, Field(ge=1, le=1000, description="Of a DICOM file of several photographs, counted from 1.")
    ] = None
