from .cup_disc import Measures as Measures
from .cup_disc import measure as measure
from .label_map import region_mask as region_mask
from .rim import rim_profile as rim_profile
