"""DICOM photographs made from `Phantom`: every class, colour and transfer syntax that cameras and archives use."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from fundusseg.datasets import Phantom

OP8 = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
OP16 = "1.2.840.10008.5.1.4.1.1.77.1.5.2"
VL = "1.2.840.10008.5.1.4.1.1.77.1.4"
SC = "1.2.840.10008.5.1.4.1.1.7"
SC_BYTE = "1.2.840.10008.5.1.4.1.1.7.2"
SC_WORD = "1.2.840.10008.5.1.4.1.1.7.3"
SC_COLOUR = "1.2.840.10008.5.1.4.1.1.7.4"

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_2000 = "1.2.840.10008.1.2.4.91"


@cache
def phantom(number: int = 0, size: int = 256) -> np.ndarray:
    """H x W x 3 uint8; never to be written to."""
    dataset = Phantom(count=number + 1, size=size)
    image = dataset[number].image
    image.setflags(write=False)
    return image


def dicom_photograph(
    pixels: np.ndarray | Sequence[np.ndarray],
    sop_class: str = OP8,
    syntax: str = ExplicitVRLittleEndian,
    kind: str = "",
    bits: int = 0,
    number: int = 1,
    patient: str = "P-0001",
    **more: Any,
) -> FileDataset:
    """A photograph of one frame or several, with all that its class asks for.

    Args:
        pixels: H x W x 3 or H x W of uint8 or uint16; several are frames.
        sop_class: Its UID.
        syntax: In which it is said to be written; native pixels only, see `compressed`.
        kind: Photometric interpretation; by default RGB or MONOCHROME2.
        bits: Stored; by default as many as allocated.
        number: Of the photograph: its UIDs follow from it.
        patient: ID.
        more: Elements by keyword.
    """
    frames = [pixels] if isinstance(pixels, np.ndarray) else list(pixels)
    first = frames[0]
    several = sop_class in (OP8, OP16, SC_BYTE, SC_WORD, SC_COLOUR)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = UID(sop_class), UID(syntax)
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = UID(sop_class)
    study = ["study", patient]
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["instance", str(number), patient])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=study)
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[*study, "series"])
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["tests"])
    dataset.Modality = "OP" if sop_class in (OP8, OP16) else "XC" if sop_class == VL else "OT"
    dataset.PatientName, dataset.PatientID = "Müller^Anna", patient
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientBirthDate, dataset.PatientSex = "19500102", "F"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20240531", "101112", "S1"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "ACC77", "Doe^Jane"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, number
    dataset.ContentDate, dataset.ContentTime = "20240531", "101213"
    dataset.AcquisitionDateTime = "20240531101213"
    dataset.Manufacturer, dataset.ManufacturerModelName = "Phantom Optics", "F-1"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "SN-4711", "1.0"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "", "COLOR"] if sop_class in (OP8, OP16) else ["ORIGINAL", "PRIMARY"]
    dataset.PatientOrientation = ["L", "F"]
    if sop_class in (SC, SC_BYTE, SC_WORD, SC_COLOUR):
        dataset.ConversionType = "DF"
        dataset.ImageType = ["DERIVED", "SECONDARY"]
    else:
        dataset.ImageLaterality = "R"
        dataset.AnatomicRegionSequence = Items([code("81745001", "SCT", "Eye")])
        dataset.AcquisitionContextSequence = Items([])
    if sop_class in (OP8, OP16):
        dataset.PixelSpacing = [0.0105, 0.0105]
        dataset.HorizontalFieldOfView = 45.0
        dataset.DetectorType = "CCD"
        dataset.IlluminationTypeCodeSequence = dataset.ImagePathFilterTypeStackCodeSequence = Items([])
        dataset.LightPathFilterTypeStackCodeSequence = Items([])
        dataset.AcquisitionDeviceTypeCodeSequence = Items([code("409898007", "SCT", "Fundus Camera")])
        dataset.RefractiveStateSequence = Items([])
        dataset.LensesCodeSequence = Items([])
        dataset.EmmetropicMagnification = dataset.IntraOcularPressure = dataset.PupilDilated = None
        dataset.PatientEyeMovementCommanded = "NO"
        dataset.SynchronizationFrameOfReferenceUID = "1.2.840.10008.15.1.1"
        dataset.SynchronizationTrigger, dataset.AcquisitionTimeSynchronized = "NO TRIGGER", "N"
        dataset.FrameTime, dataset.FrameIncrementPointer = "0", 0x00181063
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    if several:
        dataset.NumberOfFrames = len(frames)
        if len(frames) > 1:
            dataset.FrameTime, dataset.FrameIncrementPointer = "100", 0x00181063
    dataset.Rows, dataset.Columns = first.shape[:2]
    dataset.SamplesPerPixel = 1 if first.ndim == 2 else 3
    dataset.PhotometricInterpretation = kind or ("MONOCHROME2" if first.ndim == 2 else "RGB")
    if first.ndim == 2:
        dataset.PresentationLUTShape = "INVERSE" if kind == "MONOCHROME1" else "IDENTITY"
    else:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8 * first.dtype.itemsize
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    dataset.set_original_encoding(UID(syntax).is_implicit_VR, UID(syntax).is_little_endian)
    big = UID(syntax) == "1.2.840.10008.1.2.2"
    content = b"".join(frame.astype(frame.dtype.newbyteorder(">" if big else "<")).tobytes() for frame in frames)
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 and syntax != "1.2.840.10008.1.2" else "OW"
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    return dataset


def code(value: str, scheme: str, meaning: str, **more: Any) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    for keyword, content in more.items():
        setattr(item, keyword, content)
    return item


def compressed(dataset: FileDataset, syntax: str) -> FileDataset:
    """The same photograph in a compressed transfer syntax that pydicom's own plugins encode."""
    options = {"j2k_cr": [10]} if syntax == JPEG_2000 else {"jls_error": 3} if syntax.endswith(".81") else {}
    dataset.compress(UID(syntax), generate_instance_uid=False, **options)
    return dataset


def as_jpeg(dataset: FileDataset, frames: Sequence[np.ndarray], quality: int = 95) -> FileDataset:
    """The same photograph in baseline JPEG, as cameras write it."""
    coded = []
    for frame in frames:
        stream = io.BytesIO()
        Image.fromarray(frame).save(stream, "JPEG", quality=quality, subsampling=0)
        coded.append(stream.getvalue() + b"\0" * (len(stream.getvalue()) % 2))
    dataset.PixelData = encapsulate(coded)
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = UID(JPEG_BASELINE)
    if dataset.SamplesPerPixel == 3:
        dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.LossyImageCompression, dataset.LossyImageCompressionRatio = "01", "8"
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    return dataset


def write(dataset: FileDataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def transcoded(dataset: FileDataset, syntax: str, path: Path) -> Path:
    """Write the same photograph in a syntax that GDCM alone encodes: JPEG lossless and extended."""
    import gdcm

    names = {".51": "JPEGExtendedProcess2_4", ".57": "JPEGLosslessProcess14", ".70": "JPEGLosslessProcess14_1"}
    reader, change = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax()
    reader.SetFileName(str(write(dataset, path)))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, names[syntax[-3:]])))
    change.SetInput(reader.GetImage())
    assert change.Change()
    # Only the codestream is taken: GDCM's writer checks the dataset by tables that abort the process.
    fragment = change.GetOutput().GetDataElement().GetSequenceOfFragments().GetFragment(0)
    codestream = fragment.GetByteValue().GetBuffer().encode("utf-8", "surrogateescape")
    dataset.PixelData = encapsulate([codestream])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    return write(dataset, path)
