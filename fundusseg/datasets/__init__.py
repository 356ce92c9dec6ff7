"""One public dataset per file, each giving the same records and samples."""

from fundusseg.datasets.base import FundusDataset
from fundusseg.datasets.drions_db import DrionsDB
from fundusseg.datasets.drishti_gs import DrishtiGS
from fundusseg.datasets.folder import Folder
from fundusseg.datasets.optic_disc_seg import OpticDiscSeg
from fundusseg.datasets.phantom import Phantom

__all__ = ["DrionsDB", "DrishtiGS", "Folder", "FundusDataset", "OpticDiscSeg", "Phantom"]
