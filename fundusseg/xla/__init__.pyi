from .backend import require_devices as require_devices
from .compile_monitor import CompileMonitor as CompileMonitor
