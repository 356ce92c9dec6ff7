"""Patients: from photographs to eyes, visits and patients.

Takes the rows of a run of predict, and whose eye each photograph shows and when (a table, file names, DICOM).
Gives eyes.csv, visits.csv, patients.csv with their data dictionaries, and patients.html: both eyes, change over visits.
Never asks a network; what it cannot assign to an eye is listed with a sentence.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
