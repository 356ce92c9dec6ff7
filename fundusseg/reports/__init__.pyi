from .files import write_csv as write_csv
from .files import write_json as write_json
