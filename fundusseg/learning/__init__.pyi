from .champions import Champions as Champions
from .corrections import Correction as Correction
from .promotion import Decision as Decision
