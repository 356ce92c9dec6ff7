"""Service: photographs in over HTTP, outlines and numbers out; the same that `predict` writes.

Takes a checkpoint or bundle, and requests.
Gives an ASGI application (`app.create_app`) without state outside of it, so that any server can run it, and the worker
processes (`worker_pool`) that decode and compute beside it.
Never writes to a disk unless a store is configured, and never logs a file's name: it may be a patient's.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
