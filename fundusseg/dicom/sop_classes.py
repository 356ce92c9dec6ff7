"""Which DICOM classes hold fundus photographs, and what the others are called."""

from pydicom.uid import UID

_OPHTHALMIC = "1.2.840.10008.5.1.4.1.1.77.1.5"

VL_PHOTOGRAPHIC = "1.2.840.10008.5.1.4.1.1.77.1.4"

PHOTOGRAPHS: dict[str, str] = {
    f"{_OPHTHALMIC}.1": "Ophthalmic Photography 8 Bit",
    f"{_OPHTHALMIC}.2": "Ophthalmic Photography 16 Bit",
    VL_PHOTOGRAPHIC: "VL Photographic",
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture",
    "1.2.840.10008.5.1.4.1.1.7.2": "Multi-frame Grayscale Byte Secondary Capture",
    "1.2.840.10008.5.1.4.1.1.7.3": "Multi-frame Grayscale Word Secondary Capture",
    "1.2.840.10008.5.1.4.1.1.7.4": "Multi-frame True Color Secondary Capture",
}
"""Classes that cameras send fundus photographs in, by their UID."""

DIRECTORY = "1.2.840.10008.1.3.10"
"""Of a DICOMDIR: a list of the other files of a medium."""

_OTHERS: dict[str, str] = {
    f"{_OPHTHALMIC}.5": "wide-field photograph (stereographic projection)",
    f"{_OPHTHALMIC}.6": "wide-field photograph (3D coordinates)",
    f"{_OPHTHALMIC}.4": "optical coherence tomography (OCT)",
    f"{_OPHTHALMIC}.7": "OCT en face image",
    f"{_OPHTHALMIC}.8": "OCT B-scan volume analysis",
    f"{_OPHTHALMIC}.3": "stereometric relationship",
    "1.2.840.10008.5.1.4.1.1.7.1": "secondary capture of one bit",
    DIRECTORY: "DICOMDIR",
}


def class_name(uid: str) -> str:
    """What a class is called, in words.

    >>> class_name("1.2.840.10008.5.1.4.1.1.77.1.5.5")
    'wide-field photograph (stereographic projection)'
    >>> class_name("1.2.840.10008.5.1.4.1.1.88.33"), class_name("")
    ('Comprehensive SR', 'object of no class')
    """
    if not uid:
        return "object of no class"
    name = PHOTOGRAPHS.get(uid) or _OTHERS.get(uid) or UID(uid).name
    return name.removesuffix(" Storage")
