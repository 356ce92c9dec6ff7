"""A folder of patients through predict itself: tables, pattern, lists; bad input told, nothing lost."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fundusseg import predict
from fundusseg.errors import ConfigurationError
from fundusseg.measures.repeatability import MEASURES
from fundusseg.patients.columns import EYES, PATIENTS, VISITS
from fundusseg.patients.run_files import BY_TABLE, WRITTEN
from tests.support.painter import photograph, write_checkpoint

RATIO = 0.5


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "a.ckpt")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Photographs of two patients, named by a pattern; one is broken."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "in"
    place.mkdir()
    for number, name in enumerate(
        ("A_OD_2020-01-01", "A_OS_2020-01-01", "A_OD_2022-01-01", "B_OD_yesterday", "B_OD_2021-05-06 (2)", "nobody")
    ):
        image = photograph()
        image[0, number] = 200
        Image.fromarray(image).save(place / f"{name}.png")
    (place / "B_OS_2021-05-06.png").write_bytes(b"no picture")
    return place


def read(output: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(output / f"{name}.csv", keep_default_na=False, dtype=str).set_index("record_id")


def run(checkpoint: str, *arguments: str, code: int = 1) -> Path:
    output = Path("out")
    assert predict.main(["--checkpoint", checkpoint, *arguments, "--output", str(output)]) == code
    return output


def test_a_pattern_makes_patients_and_all_that_does_not_fit_is_told(checkpoint, folder, capsys):
    output = run(checkpoint, str(folder), "--pattern", "{patient}_{eye}_{date}")
    eyes, visits, patients = (read(output, name) for name in ("eyes", "visits", "patients"))
    assert [*eyes.index] == ["A_OD", "A_OS", "B_OD", "B_OS"] and [*patients.index] == ["A", "B"]
    assert eyes.visits["A_OD"] == "2" and float(eyes.change["A_OD"]) == pytest.approx(0, abs=0.01)
    assert eyes.changed["A_OD"] == "0" and eyes.change_said["A_OD"].startswith("no change of the vertical ratio")
    assert float(patients.vertical_cdr_asymmetry["A"]) == pytest.approx(0, abs=0.01)
    assert patients.asymmetry_convention["A"] == "not_reached"
    assert "the date 'yesterday' cannot be read" in eyes.remarks["B_OD"]
    assert [*visits.visit_date[visits.patient == "B"]] == ["2021-05-06", "", "2021-05-06"]
    assert "no photograph of this eye could be measured" in eyes.remarks["B_OS"]
    assert "nobody.png: its name does not fit" in (output / "unassigned.csv").read_text()
    files = [name for cell in (*visits.file, *visits.others) for name in cell.split("; ") if name]
    unassigned = (output / "unassigned.csv").read_text()
    # Every photograph stands in visits.csv, or is told as nobody's.
    assert len(files) + unassigned.count(".png") == 7
    said = capsys.readouterr().out
    assert "2 patients, 4 eyes" in said and "1 not assigned" in said
    assert {
        f"{t}_{k}" for t in ("eyes", "visits", "patients") for k in ("dictionary.csv", "dictionary.json", "redcap.csv")
    } <= {path.name for path in output.iterdir()}


def test_the_eye_of_a_table_is_measured_by_and_the_next_run_only_sums_up_anew(checkpoint, folder):
    (folder / "B_OS_2021-05-06.png").unlink()
    table = "file,patient,eye,date\nA_OD_2020-01-01.png,1,OS,2020-01-01\nA_OS_2020-01-01.png,1,OD,2020-01-01\n"
    Path("visits.csv").write_text(table)
    output = run(checkpoint, str(folder), "--table", "visits.csv", code=0)
    measures = pd.read_csv(output / "measures.csv").set_index("file")
    assert measures.eye[str(folder / "A_OD_2020-01-01.png")] == "OS"
    assert [*read(output, "eyes").index] == ["1_OD", "1_OS"]
    maps = {path: path.stat().st_mtime_ns for path in output.glob("*_labels.png")}
    Path("visits.csv").write_text(table.replace(",1,", ",one,"))
    run(checkpoint, str(folder), "--table", "visits.csv", code=0)
    assert [*read(output, "patients").index] == ["one"]
    assert {path: path.stat().st_mtime_ns for path in output.glob("*_labels.png")} == maps


def test_a_list_with_a_column_patient_is_enough(checkpoint, folder):
    Path("list.csv").write_text("file,patient,eye\nin/A_OD_2020-01-01.png,7,R\nin/nobody.png,7,L\n")
    output = run(checkpoint, "list.csv", code=0)
    assert read(output, "patients").eyes["7"] == "2"


def test_a_sites_own_error_changes_the_interval(checkpoint, folder):
    Path("own.csv").write_text("measure,within_eye_sd\n" + "".join(f"{name},0.1\n" for name in MEASURES))
    arguments = [str(folder), "--pattern", "{patient}_{eye}_{date}"]
    narrow = read(run(checkpoint, *arguments), "patients").vertical_cdr_asymmetry_high["A"]
    wide = read(run(checkpoint, *arguments, "--repeatability", "own.csv"), "patients").vertical_cdr_asymmetry_high["A"]
    assert float(wide) == pytest.approx(2.15 * 2**0.5 * 0.1, abs=0.02) and float(wide) > float(narrow)
    Path("own.csv").write_text("measure,within_eye_sd\nvertical_cdr,0\n")
    with pytest.raises(ConfigurationError, match="vertical_cdr missing or not above 0"):
        predict.main(["--checkpoint", checkpoint, *arguments, "--repeatability", "own.csv"])


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("--pattern", "{eye}", "no {patient}"),
        ("--table", "nowhere.csv", "cannot be read"),
        ("--repeatability", "nowhere.csv", "repeatability"),
    ],
)
def test_an_option_that_cannot_be_followed_is_refused_before_anything_is_done(checkpoint, folder, option, value, why):
    with pytest.raises(ConfigurationError, match=why):
        predict.main(["--checkpoint", checkpoint, str(folder), option, value, "--output", "out"])
    assert not Path("out").exists()


@pytest.mark.parametrize("given", [["in", "--table", "./visits.csv"], ["visits.csv"]])
def test_a_table_is_not_written_over(checkpoint, folder, given):
    Path("visits.csv").write_text("file,patient\nin/nobody.png,1\n")
    with pytest.raises(ConfigurationError, match=r"visits\.csv, which this run would write over"):
        predict.main(["--checkpoint", checkpoint, *given, "--output", "."])
    assert Path("visits.csv").read_text() == "file,patient\nin/nobody.png,1\n"


@pytest.mark.parametrize("elsewhere", [[], ["--cluster=local"]], ids=["here", "cluster"])
def test_a_sites_repeatability_is_not_written_over(checkpoint, folder, elsewhere):
    if elsewhere:
        pytest.importorskip("ray")
    lines = "measure,within_eye_sd\n" + "".join(f"{name},0.02\n" for name in MEASURES)
    Path("eyes.csv").write_text(lines)
    with pytest.raises(ConfigurationError, match=r"eyes\.csv, which this run would write over"):
        predict.main(["--checkpoint", checkpoint, "in", "--repeatability", "eyes.csv", "--output", ".", *elsewhere])
    assert Path("eyes.csv").read_text() == lines


@pytest.mark.parametrize("more", [False, True])
def test_tables_of_an_earlier_run_do_not_stand_beside_results_of_another(checkpoint, folder, capsys, more):
    """Whether the later run has photographs left to do or none; a table that somebody else wrote stays."""
    output = run(checkpoint, str(folder), "--pattern", "{patient}_{eye}_{date}")
    assert {path.name for path in output.iterdir()} >= set(WRITTEN)
    (output / "visits.csv").write_text("file,patient\nmine.png,1\n")
    if more:
        Image.fromarray(photograph()).save(folder / "more.png")
    capsys.readouterr()
    run(checkpoint, str(folder))
    assert {path.name for path in output.iterdir()} & set(WRITTEN) == set(BY_TABLE["visits.csv"])
    assert (output / "visits.csv").read_text() == "file,patient\nmine.png,1\n"
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("eyes.csv, patients.csv of an earlier run removed") == 1
    run(checkpoint, str(folder))
    assert "removed" not in capsys.readouterr().out


def test_tables_of_an_earlier_run_are_gone_while_a_run_is_not_at_its_end(checkpoint, folder, monkeypatch):
    arguments = [str(folder), "--pattern", "{patient}_{eye}_{date}"]
    output = run(checkpoint, *arguments)
    Image.fromarray(photograph()).save(folder / "A_OS_2023-01-01.png")

    def killed(*given: object, **how: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(predict, "summarise_patients", killed)
        with pytest.raises(RuntimeError, match="killed"):
            run(checkpoint, *arguments)
    assert not {path.name for path in output.iterdir()} & set(WRITTEN)
    run(checkpoint, *arguments)
    assert read(output, "eyes").visits["A_OS"] == "2"


def test_without_patients_no_table_is_written_and_an_error_that_nobody_needs_is_told(checkpoint, folder, capsys):
    shutil.move(folder / "nobody.png", "one.png")
    Path("own.csv").write_text("measure,within_eye_sd\n" + "".join(f"{name},0.1\n" for name in MEASURES))
    output = run(checkpoint, "one.png", "--repeatability", "own.csv", code=0)
    assert "--repeatability changed nothing" in capsys.readouterr().out
    assert not {f"{name}.csv" for name in ("eyes", "visits", "patients", "unassigned")} & {
        p.name for p in output.iterdir()
    }


def test_names_of_the_tables_are_those_of_their_dictionaries(checkpoint, folder):
    output = run(checkpoint, str(folder), "--pattern", "{patient}_{eye}_{date}")
    for name, columns in (("eyes", EYES), ("visits", VISITS), ("patients", PATIENTS)):
        table = pd.read_csv(output / f"{name}.csv")
        dictionary = pd.read_csv(output / f"{name}_dictionary.csv")
        assert [*table.columns] == [column.name for column in columns]
        assert [*dictionary.name.dropna()] == [*table.columns]
        for column in columns:
            cells = table[column.name].dropna()
            if column.kind in ("number", "integer"):
                assert np.issubdtype(cells.dtype, np.number) or cells.empty, column.name
            elif column.kind == "category":
                assert {str(int(c)) if isinstance(c, float) else str(c) for c in cells} <= set(column.choices), (
                    column.name
                )
