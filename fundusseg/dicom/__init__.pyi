from .frames import read_frame as read_frame
from .header import PhotographHeader as PhotographHeader
from .header import read_header as read_header
