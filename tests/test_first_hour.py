"""Every command of the README's first hour, on small files of the names that it uses."""

import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from fundusseg.datasets import Phantom
from fundusseg.imaging.image_files import write_png
from tests.miniatures import drishti_gs, rim_one_dl
from tests.miniatures.phantom_folder import write_folder

ROOT = Path(__file__).parents[1]
SECTION = re.search(r"^## The first hour.*?(?=^## )", (ROOT / "README.md").read_text(), re.S | re.M)
BLOCKS = re.findall(r"^```sh\n(.*?)^```", SECTION[0] if SECTION else "", re.S | re.M)
DESK, CENTRE, LABELLED, PUBLISHED, MACHINES = range(5)

SHORT = (
    "--data.image_size 64 --data.batch_size 4 --data.samples_per_epoch 8 --data.num_workers 0 --trainer.max_epochs 1"
)
"""What makes a training one of seconds; nothing else is added to what the README says."""
OWN = {
    "tpu_unet_cup": "--data.variants.init_args.copies 1 --model.model.init_args.start_channels 8",
    "--accelerator tpu": "--data.batch_size 8",
}

pytestmark = pytest.mark.slow


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with all that the commands name, and the recipes."""
    phantoms = list(Phantom(count=6, size=512))
    write_png(tmp_path / "eye.jpg", phantoms[0].image)
    ratios = ["file,vertical_cdr"]
    (tmp_path / "photographs").mkdir()
    for number, phantom in enumerate(phantoms):
        name = f"photographs/P{number // 2}_{'OD' if number % 2 else 'OS'}_2024-0{number + 1}-15.png"
        write_png(tmp_path / name, phantom.image)
        ratios.append(f"{name},{0.4 + 0.05 * number:.2f}")
    (tmp_path / "ratios.csv").write_text("\n".join(ratios) + "\n")
    write_folder(tmp_path / "my_data", 12)
    drishti_gs.build(tmp_path / "downloads", count=6)
    rim_one_dl.build(tmp_path / "downloads" / "RIM-ONE-DL", rim_one_dl.OF_R3, first_seed=600)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    return tmp_path


def run(command: str, folder: Path) -> str:
    """Run a line of the README there, a training shortened; what it printed."""
    if "fundusseg.fit" in command:
        command = " ".join([command, SHORT, *(more for word, more in OWN.items() if word in command)])
    line = command.replace("python ", f"{shlex.quote(sys.executable)} ", 1)
    done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def lines(block: int) -> list[str]:
    """The commands of one way in."""
    return [line for line in BLOCKS[block].splitlines() if line]


def test_there_are_five_ways_of_at_most_fifteen_lines():
    assert len(BLOCKS) == 5
    assert all(0 < len(lines(block)) <= 15 for block in range(5))
    assert all("python -m fundusseg." in line for block in range(5) for line in lines(block))


def test_a_photograph_on_my_desk(desk):
    for line in lines(DESK):
        run(line, desk)
    assert (desk / "predictions" / "report.html").is_file()
    assert len(pd.read_csv(desk / "predictions" / "measures.csv")) == 1


def test_a_folder_of_a_reading_centre(desk):
    *told, serve = lines(CENTRE)
    for line in told:
        run(line, desk)
    for output in ("reading", "ours"):
        assert len(pd.read_csv(desk / output / "patients.csv")) == 3
        assert len(pd.read_csv(desk / output / "eyes.csv")) == 6
    assert served(f"{serve} --port 0", desk)


def served(command: str, folder: Path) -> bool:
    """Whether the service starts, says where it is, answers there, and ends when it is told to."""
    with subprocess.Popen(
        [sys.executable, *shlex.split(command)[1:]],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as service:
        assert service.stdout is not None
        try:
            said = next(line for line in service.stdout if "http://127.0.0.1:" in line)
            address = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
            return answers(f"{address}/livez")
        finally:
            service.send_signal(signal.SIGTERM)
            assert service.wait(60) == 0


def answers(address: str) -> bool:
    """Whether something answers there within half a minute."""
    for _ in range(60):
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.status == 200
        except OSError:
            time.sleep(0.5)
    return False


def test_my_own_labelled_data(desk):
    find, *others = lines(LABELLED)
    found = run(find, desk)
    # What it prints is what the README says to paste.
    (desk / "mine.yaml").write_text(found[found.index("data:") :].split("\n\n")[0] + "\n")
    for line in others:
        run(line, desk)
    assert next(desk.rglob("figures.csv")).is_file()


def test_a_published_table(desk):
    find, *others = lines(PUBLISHED)
    assert "DrishtiGS" in run(find, desk)
    for line in others:
        run(line, desk)
    assert set(pd.read_csv(next(desk.rglob("figures.csv"))).source) >= {"drishti_gs"}


def test_virtual_devices_and_a_cluster(desk):
    pytest.importorskip("torch_xla")
    pytest.importorskip("ray")
    fit, predict = lines(MACHINES)
    run(fit, desk)
    run(predict, desk)
    assert len(pd.read_csv(desk / "on_cluster" / "measures.csv")) == 6
