"""Takes away calls of POSIX's own, before the package is imported: ``import tests.support.elsewhere``.

Not those that libraries built for Linux call without asking, such as `os.uname`.
"""

import os
import signal

ABSENT = {
    os: ("sched_getaffinity", "sched_setaffinity", "posix_fallocate", "fork", "getuid", "getpgid", "killpg"),
    signal: ("pthread_sigmask", "sigwaitinfo", "alarm", "setitimer"),
}

for module, names in ABSENT.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
