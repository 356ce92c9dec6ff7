from .alignment import align as align
from .identity import find_identities as find_identities
from .summary import summarise_patients as summarise_patients
