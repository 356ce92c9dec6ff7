from .exported_files import write_exported as write_exported
from .runtime_network import runtime_network as runtime_network
