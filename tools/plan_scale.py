"""What many millions of photographs cost, from what a few took: machines, storage, traffic, and what breaks first.

    python tools/plan_scale.py predictions --seconds cpu=SECONDS gpu=SECONDS --photographs 10000000 --hours 24

Sizes are those of an output folder of `predict`: bytes of its photographs, files and bytes that each left, memory of
its row. Seconds are of one photograph on one worker, as tools/benchmark_predict.py measures them, for each kind of
machine; nothing here is assumed but the limits, whose sources stand beside them.
"""

import argparse
import math
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

from fundusseg.inference.result_paths import JOURNAL
from fundusseg.inference.run_journal import ROWS, read_entries

PACKED_BLOCK = 512
"""As `fundusseg.cluster.prediction.PACKED_BLOCK`, which needs Ray to be imported."""

REQUESTS = 3500
"""Writes a second that S3 takes below one prefix (docs.aws.amazon.com, "Optimizing Amazon S3 performance")."""

FOLDER = 10_000_000
"""Files of one ext4 folder without the feature large_dir (ext4(5), its index of two levels)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one photograph took, on average.

    Attributes:
        photographs: How many the averages are of.
        read: Bytes of its file.
        written: Bytes of its results.
        files: Of its results.
        memory: Bytes of its row in the driver.
    """

    photographs: int
    read: float
    written: float
    files: float
    memory: float


def measured(output: Path) -> Measured:
    """Measure an output folder."""
    tracemalloc.start()
    entries = read_entries(output / JOURNAL / ROWS)
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if not entries:
        raise SystemExit(f"no photograph in {output}: give an output folder of predict")
    names = {entry.name for entry in entries}
    found = [path for path in output.rglob("*") if path.is_file() and _is_result(path.relative_to(output), names)]
    sizes = [entry.size for entry in entries if entry.size > 0]
    written = sum(path.stat().st_size for path in found)
    count = len(entries)
    return Measured(count, sum(sizes) / max(1, len(sizes)), written / count, len(found) / count, memory / count)


def _is_result(path: Path, names: set[str]) -> bool:
    if path.parts[0] == JOURNAL:
        return path.with_suffix("").as_posix().removeprefix(f"{JOURNAL}/thumbnails/") in names
    return path.as_posix().rpartition("_")[0] in names


def lines(one: Measured, seconds: dict[str, float], photographs: int, hours: float, memory: float) -> list[str]:
    """The plan, a line each.

    Args:
        one: What one photograph took.
        seconds: Of one photograph on one worker, by kind of machine.
        photographs: How many there are.
        hours: In which they shall be done.
        memory: Bytes that the driver may use.
    """
    sizes = f"{one.read / 1e6:.2f} MB in, {one.written / 1e6:.3f} MB in {one.files:.1f} files out"
    said = [f"Measured on {one.photographs}: {sizes}"]
    for kind, each in seconds.items():
        total = photographs * each / 3600
        said.append(f"{kind}: {total:,.0f} worker hours; {math.ceil(total / hours):,} workers for {hours:g} hours")
    rate = photographs / (hours * 3600)
    traffic = rate * (one.read + one.written)
    said.append(f"Storage: {photographs * one.written / 1e12:.2f} TB out, {photographs * one.read / 1e12:.2f} TB in")
    said.append(f"Traffic: {traffic / 1e6:,.0f} MB a second, {rate:,.0f} photographs a second")
    files, packed = photographs * one.files, math.ceil(photographs / PACKED_BLOCK)
    said.append(
        f"Files: {files:,.0f}; with --packed true {packed:,}, of {PACKED_BLOCK * one.written / 1e6:,.0f} MB each"
    )
    # Each is at most 1 where the run fits.
    strain = {
        f"the driver's memory ({photographs * one.memory / 1e9:,.1f} GB of rows)": photographs * one.memory / memory,
        f"small files ({files:,.0f} in one folder; --packed true answers it)": files / FOLDER,
        f"the object store's writes ({rate * one.files:,.0f} a second; --packed true answers it)": rate
        * one.files
        / REQUESTS,
    }
    for what, load in sorted(strain.items(), key=lambda item: -item[1]):
        said.append(f"{'Breaks' if load > 1 else 'Holds'} at {load:.0%} of its limit: {what}")
    most = int(memory / one.memory)
    said.append(
        f"One run takes at most {most:,} photographs; {math.ceil(photographs / most):,} runs, each its own --output"
    )
    return said


def main() -> None:
    """Read the command line and print the plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="Output folder of predict.")
    parser.add_argument(
        "--seconds", nargs="+", required=True, metavar="KIND=SECONDS", help="One photograph, one worker."
    )
    parser.add_argument("--photographs", type=int, default=10_000_000)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--driver_gigabytes", type=float, default=32.0)
    given = parser.parse_args()
    seconds = {kind: float(each) for kind, _, each in (one.partition("=") for one in given.seconds)}
    plan = lines(measured(given.output), seconds, given.photographs, given.hours, given.driver_gigabytes * 1e9)
    print("\n".join(plan))


if __name__ == "__main__":
    main()
