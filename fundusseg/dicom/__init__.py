"""DICOM: photographs out of clinical archives, and what was found in them on its way back.

Takes DICOM files of fundus photographs, label maps and measures in plain types.
Gives pixels, what the header says (eye, patient, date, device), segmentations (SEG) and structured reports (SR).
The only room that imports pydicom, highdicom and pynetdicom, which come with the extra `dicom`. Never knows torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
