"""What cannot be connected to, or does not fit, is one sentence before anything runs."""

import sys

import pytest

from fundusseg import __version__, predict
from fundusseg import fit as verb
from fundusseg.cluster import resources
from fundusseg.cluster.connection import connected
from fundusseg.cluster.resources import Resources
from fundusseg.errors import ConfigurationError


def refused(resources):
    with pytest.raises(ConfigurationError) as caught, connected(resources):
        pass
    return str(caught.value)


def test_without_ray(monkeypatch):
    monkeypatch.setattr(resources, "find_spec", lambda name: None)
    assert refused(Resources("local")) == (
        'got --cluster without Ray; expected the extra `cluster`; install it: pip install "fundusseg[cluster]".'
    )
    with pytest.raises(ConfigurationError, match="--cluster without Ray"):
        predict.main(["nowhere", "--cluster=auto"])


@pytest.mark.parametrize("given", ["gpus=1.5", "gpus=-1", "gpus=0.33333", "cpus=0", "cpus=0.12345", "jobs=0"])
def test_what_ray_cannot_count(given):
    name, _, value = given.partition("=")
    with pytest.raises(ConfigurationError, match=rf"--cluster_{name} {value}.*; expected .*whole ones"):
        predict.main(["nowhere", "--cluster=auto", f"--cluster_{given}"])


@pytest.mark.slow
@pytest.mark.parametrize("address", ["127.0.0.1:1", "auto", "nonsense", "127.0.0.1:x"])
def test_an_address_that_does_not_answer(address, monkeypatch):
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    said = refused(Resources(address))
    assert f"a Ray cluster that cannot be reached at '{address}'" in said and "\n" not in said


@pytest.mark.slow
def test_what_no_node_has_and_another_version_of_the_package(nodes, tmp_path):
    # What a node has installed; a path would not do, as Ray puts the driver's own before it.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, types\nsys.modules['fundusseg'] = other = types.ModuleType('fundusseg')\n"
        "other.__version__ = '0.0.1'\n"
    )
    cluster = nodes({}, {"PYTHONPATH": str(tmp_path)})
    said = refused(Resources(cluster.address))
    assert "with fundusseg 0.0.1; expected fundusseg " + __version__ in said
    cluster.kill(cluster.nodes[1])
    said = refused(Resources(cluster.address, gpus=1))
    assert "jobs of 1 cores and 1 GPUs, which no node has; expected at most 4 cores and 0 GPUs" in said
    with pytest.raises(ConfigurationError, match="got 9 processes of 1 cores and 0 GPUs; expected at most 4, for"):
        verb.main(["--cluster", cluster.address, "--cluster_jobs=9"])
    with connected(Resources(cluster.address, cpus=2)) as fit:
        assert fit == 2 and "ray" in sys.modules
    with connected(Resources(cluster.address, jobs=3)) as fit:
        assert fit == 3
