"""One public dataset per file, each giving the same records and samples."""

from fundusseg.datasets.base import FundusDataset
from fundusseg.datasets.drions_db import DrionsDB
from fundusseg.datasets.drishti_gs import DrishtiGS
from fundusseg.datasets.folder import Folder
from fundusseg.datasets.g1020 import G1020
from fundusseg.datasets.idrid import IDRiD
from fundusseg.datasets.isbi_membrane import IsbiMembrane
from fundusseg.datasets.optic_disc_seg import OpticDiscSeg
from fundusseg.datasets.origa import Origa
from fundusseg.datasets.papila import Papila
from fundusseg.datasets.phantom import Phantom
from fundusseg.datasets.refuge import Refuge
from fundusseg.datasets.rim_one_dl import RimOneDL
from fundusseg.datasets.rim_one_r2 import RimOneR2
from fundusseg.datasets.rim_one_r3 import RimOneR3
from fundusseg.datasets.sclera import Sclera

__all__ = [
    "G1020",
    "DrionsDB",
    "DrishtiGS",
    "Folder",
    "FundusDataset",
    "IDRiD",
    "IsbiMembrane",
    "OpticDiscSeg",
    "Origa",
    "Papila",
    "Phantom",
    "Refuge",
    "RimOneDL",
    "RimOneR2",
    "RimOneR3",
    "Sclera",
]
