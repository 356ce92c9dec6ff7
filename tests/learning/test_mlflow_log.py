"""Rounds in MLflow: a real store of files, figures as the round wrote them, and nothing that is not to leave."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fundusseg import improve
from fundusseg.errors import ConfigurationError
from fundusseg.learning import mlflow_log
from fundusseg.learning.corrections import part_of
from fundusseg.learning.mlflow_log import EXPERIMENT, MlflowLog
from fundusseg.service.store import Store
from tests.support import store_site

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def logged(tmp_path_factory) -> Path:
    """A site whose first round is promoted and logged."""
    place = tmp_path_factory.mktemp("logged")
    champion = store_site.write_champion(place / "first.bundle")
    store = Store(place / "store")
    frozen = [number for number in range(60) if part_of(f"P{number}") == "frozen"]
    others = [number for number in range(60) if number not in frozen]
    store_site.fill(store, champion, frozen[:8] + others[:10])  # as few as a round takes
    store.close()
    options = [f"--store={place / 'store'}", f"--bundle={champion}", "--trust=tests", f"--mlflow={place / 'mlruns'}"]
    assert improve.main(options) == 0
    return place


def runs(place: Path) -> list:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=str(place / "mlruns"))
    return client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])


def test_a_round_is_a_run_with_its_figures_report_and_card(logged):
    (run,) = runs(logged)
    folder = logged / "store/champions/rounds/0001"
    assert run.info.run_name == "round 1" and run.info.status == "FINISHED"
    assert run.data.tags["fundusseg.promoted"] == "recalibrated"
    assert run.data.tags["fundusseg.champion"] == "champion-0000.bundle"
    text = (folder / "recalibrated/differences.csv").read_text().splitlines()
    heading, *rows = (line.split(",") for line in text)
    (row,) = (
        r
        for r in (dict(zip(heading, one, strict=True)) for one in rows)
        if r["source"] == "site" and r["region"] == "cup" and r["metric"] == "dice"
    )
    assert run.data.metrics["recalibrated/site/cup_dice"] == float(row["model"])
    assert run.data.metrics["champion/site/cup_dice"] == float(row["other"]) < float(row["model"])
    assert run.data.metrics["learnt/frozen patients"] >= 8
    sent = Path(run.info.artifact_uri.removeprefix("file://"))
    kept = {str(path.relative_to(sent)) for path in sent.rglob("*") if path.is_file()}
    assert kept == {"report.md", "recalibrated.md", "recalibrated/differences.csv"}
    assert (sent / "report.md").read_bytes() == (folder / "report.md").read_bytes()


def test_a_round_that_is_logged_again_is_the_same_run(logged, tmp_path):
    place = shutil.copytree(logged, tmp_path / "again")
    log, folder = MlflowLog(str(logged / "mlruns")), place / "store/champions/rounds/0001"
    known = json.loads((folder / "mlflow.json").read_text())["run"]
    assert log.add(1, folder) == known and len(runs(logged)) == 1
    assert MlflowLog(str(place / "mlruns")).add(1, folder) == json.loads((folder / "mlflow.json").read_text())["run"]
    assert len(runs(place)) == 2  # at another address it is another one


def test_what_mlflow_does_not_take_changes_no_decision(logged, tmp_path, capsys):
    place = shutil.copytree(logged, tmp_path / "away")
    log = MlflowLog(str(place / "mlruns"))
    shutil.rmtree(place / "mlruns")
    (place / "mlruns").write_text("no folder")
    folder = place / "store/champions/rounds/0001"
    (folder / "mlflow.json").unlink()
    improve._log(log, 1, folder)
    assert "Not in MLflow: got no answer from MLflow" in capsys.readouterr().out


def test_an_address_where_nothing_answers_is_refused_before_anything_is_learnt(logged):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://reader:secret@127.0.0.1:{free.getsockname()[1]}"  # bound, and nobody listens
        with pytest.raises(ConfigurationError, match="no answer from MLflow") as refused:
            improve.main([f"--store={logged / 'store'}", f"--mlflow={address}", "--trust=tests"])
    assert "secret" not in str(refused.value)
    assert not (logged / "store/champions/rounds/0002").exists()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://reader:p@ss@host:5000/x?e=a@b", "http://host:5000/x?e=a@b"),
        ("http://host:5000/#/experiments@x", "http://host:5000/#/experiments@x"),
        ("postgresql+psycopg://reader:a/b@host/db", "postgresql+psycopg://host/db"),
        ("sqlite:////srv/me@site/m.db", "sqlite:////srv/me@site/m.db"),
        ("file:///home/me@site/mlruns", "file:///home/me@site/mlruns"),
        ("databricks://profile", "databricks://profile"),
        ("/data//me@site", "/data//me@site"),
    ],
)
def test_an_address_is_kept_without_its_password(address, shown):
    place, secret = mlflow_log._parts(address)
    assert place == shown and (f"://{secret}@" in address) is (place != address)


def test_the_extra_is_asked_for(logged, monkeypatch):
    monkeypatch.setattr(mlflow_log, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'fundusseg\[mlflow\]'"):
        MlflowLog(str(logged / "mlruns"))


@pytest.mark.parametrize("option", ["--drift", "--roll_back"])
def test_it_logs_rounds_alone(logged, option):
    with pytest.raises(ConfigurationError, match="--mlflow with --"):
        improve.main([f"--store={logged / 'store'}", f"--mlflow={logged / 'mlruns'}", option])


def test_its_telemetry_is_off_whatever_the_environment_says(tmp_path):
    """In a process of its own, in which nothing looks like a test: there it would be off anyhow."""
    code = (
        "from fundusseg.learning.mlflow_log import MlflowLog\n"
        f"MlflowLog({str(tmp_path / 'mlruns')!r})\n"
        "from mlflow.telemetry.utils import _IS_IN_CI_ENV_OR_TESTING, is_telemetry_disabled\n"
        "assert not _IS_IN_CI_ENV_OR_TESTING\n"
        "assert is_telemetry_disabled()\n"
    )
    bare = {"PATH": "", "HOME": str(tmp_path), "MLFLOW_DISABLE_TELEMETRY": "false", "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=bare, check=True)
