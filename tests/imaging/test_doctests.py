"""The examples in the docstrings of imaging/ are run as they stand."""

import doctest
import importlib
import pkgutil

import pytest

from fundusseg import imaging


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(imaging.__path__)])
def test_examples(name):
    assert doctest.testmod(importlib.import_module(f"fundusseg.imaging.{name}")).failed == 0
