"""The examples in the docstrings of measures/ are run as they stand."""

import doctest
import importlib
import pkgutil

import pytest

from fundusseg import measures

MODULES = [module.name for module in pkgutil.iter_modules(measures.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(f"fundusseg.measures.{name}"))
    assert result.failed == 0
    assert result.attempted > 0, f"{name} has no example"
