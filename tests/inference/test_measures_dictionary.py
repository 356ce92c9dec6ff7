"""Every column that predict can write is explained."""

from dataclasses import fields

from fundusseg.inference.measures_dictionary import measures_columns
from fundusseg.inference.output_files import measures_names
from fundusseg.inference.prediction import Prediction
from fundusseg.measures.cup_disc import Measures


def test_every_column_has_a_meaning_and_a_kind():
    row = dict.fromkeys(field.name for field in (*fields(Measures), *fields(Prediction)) if field.repr)
    row |= dict.fromkeys(("file", "error", "frame", "patient", "date", "device", "nominal_mm_per_pixel", "remarks"), "")
    names = [name for name in measures_names([row]) if name not in ("label_map", "measures", "square")]
    columns = measures_columns(names)
    assert [column.name for column in columns] == names
    assert [column.name for column in columns if not column.meaning] == []
    kinds = {column.name: column.kind for column in columns}
    assert kinds["vertical_cdr"] == kinds["failure_risk"] == kinds["spread"] == "number"
    assert kinds["verdict"] == kinds["eye"] == "category" and kinds["reasons"] == "text" and kinds["date"] == "date"
    units = {column.name: column.unit for column in columns}
    assert units["disc_area"] == "pixels" and units["disc_area_mm2"] == "mm2" and units["cup_tilt"] == "degrees"


def test_a_column_that_nobody_knows_is_there_all_the_same():
    (column,) = measures_columns(["new"])
    assert column.name == "new" and column.meaning == ""
