"""SMDG in miniature: doubled folders, a table of other folders, soft maps, and most photographs without masks."""

from pathlib import Path

import numpy as np

from tests.miniatures.shapes import CUP, DISC, ellipse, photograph, save

TABLE = "metadata - standardized.csv"
HEADING = "names,types,type_expanded,isColor,original_name,patient_id,fundus,fundus_od_seg,fundus_oc_seg,bv_seg,eye"
ROWS = {  # types, original_name, patient_id, cup's cell, eye; None for no mask
    "OIA-ODIR-TRAIN-1": ("0", "0_left.jpg", "", None, "OS"),
    "G1020-137": ("0", "image_453.jpg", "", "seg", ""),
    "G1020-949": ("1", "image_2984.jpg", "", "Not Visible", ""),
    "ORIGA-light-3": ("1", "003.jpg", "", "seg", ""),
    "REFUGE1-val-6": ("1", "V0006.jpg", "", "seg", ""),
    "PAPILA-217": ("-1", "264", "PAPILA-264", "seg", "OD"),
    "PAPILA-461": ("0", "264", "PAPILA-264", "seg", "OS"),
    "DRISHTI-GS1-train-3": ("0", "drishtiGS_008.png", "", "seg", ""),
}
EXPERTS = {"PAPILA": (1.0, 1.06), "DRISHTI": (1.0, 1.03, 1.06, 0.97)}  # scales of the experts' ellipses
WITH_MASKS = [name for name, row in ROWS.items() if row[3] is not None]


def scales(name: str) -> tuple[float, ...]:
    """Scales of the experts who drew on a photograph."""
    return EXPERTS.get(name.split("-")[0], (1.0,))


def build(root: Path, doubled: bool = True) -> None:
    """Write eight photographs, seven of them with masks, and the table."""
    lines = [HEADING]
    for seed, (name, (kind, original, patient, cup, eye)) in enumerate(ROWS.items()):
        save(_place(root, "full-fundus", name, doubled), photograph(seed))
        cells = {"disc": "" if cup is None else f"/optic-disc/{name}.png", "cup": cup or ""}
        if cup == "seg":
            cells["cup"] = f"/optic-cup/{name}.png"
        for region, axes in (("disc", DISC), ("cup", CUP)):
            if cells[region].endswith(".png"):
                share = np.mean([ellipse(axes, scale) for scale in scales(name)], axis=0)
                save(_place(root, f"optic-{region}", name, doubled), np.round(share * 255))
        lines.append(
            f"{name},{kind},,1,{original},{patient},/full-fundus/{name}.png,{cells['disc']},{cells['cup']},,{eye}"
        )
    save(_place(root, "blood-vessel", "OIA-ODIR-TRAIN-1", doubled), photograph(1))
    (root / "SMDG" / TABLE).write_text("\n".join(lines) + "\n")


def _place(root: Path, folder: str, name: str, doubled: bool) -> Path:
    return root / "SMDG" / folder / (folder if doubled else "") / f"{name}.png"
