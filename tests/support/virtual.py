"""Where the tests on XLA's virtual devices run: they are skipped where torch_xla cannot be, not where it is missing."""

import os
import sys

import pytest

on_devices = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64", reason="torch_xla is built for Linux on x86-64 alone"
)
