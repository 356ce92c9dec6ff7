"""How far the experts of datasets agree among themselves: a table for each expert against the majority of the others.

    python tools/human_agreement.py DrionsDB=FOLDER DrishtiGS=FOLDER

No model takes part. `python -m fundusseg.evaluate` prints the same lines beside a model's.
"""

import argparse
import sys
from collections.abc import Iterator

import numpy as np

from fundusseg import datasets
from fundusseg.datasets.base import FundusDataset
from fundusseg.datasets.drishti_gs import DrishtiGS
from fundusseg.errors import FundusSegError
from fundusseg.evaluation.estimates import INTEROBSERVER
from fundusseg.evaluation.interobserver import NESTED_NOTE, SENTENCE, Row, expert_estimates, expert_rows, is_nested
from fundusseg.evaluation.tables import markdown_summary, markdown_tables
from fundusseg.measures.ratio_agreement import concordance
from fundusseg.reports.tables import NOTES


def parse() -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description="How far experts agree.")
    parser.add_argument("datasets", nargs="+", help="CLASS=FOLDER of readers in fundusseg.datasets.")
    parser.add_argument("--all", action="store_true", help="Print every estimate.")
    return parser.parse_args()


def published_ratios(dataset: DrishtiGS) -> Iterator[str]:
    """The four experts' own vertical ratios, which DRISHTI-GS publishes without saying whose is whose outline."""
    values = np.array([dataset.cdr_values(record) for record in dataset.records])
    for expert in range(values.shape[1]):
        found = concordance(values[:, expert], np.delete(values, expert, axis=1).mean(axis=1))
        yield (
            f"- {dataset.source}, vertical ratio by the expert listed {expert + 1}. against the mean of the others: "
            f"mean absolute error {found.mae:.3f}, bias {found.bias:+.3f}, limits {found.low:+.3f} to "
            f"{found.high:+.3f}, ICC(2,1) {found.icc:.3f}, n {found.n}"
        )


def main() -> None:
    """Print the tables."""
    settings = parse()
    print(f"- {INTEROBSERVER}: {SENTENCE}")
    for given in settings.datasets:
        name, _, folder = given.partition("=")
        reader = getattr(datasets, name, None)
        if reader is None or not folder:
            sys.exit(
                f"got {given!r}; expected CLASS=FOLDER with a reader of fundusseg.datasets, such as DrionsDB=FOLDER"
            )
        dataset: FundusDataset = reader(folder)
        rows: list[Row] = [row for sample in dataset for row in expert_rows(sample)]
        if is_nested(rows):
            print(f"- {dataset.source}: {NESTED_NOTE}")
        if isinstance(dataset, DrishtiGS):
            print("\n".join(published_ratios(dataset)))
        found = expert_estimates(rows)
        print(f"\n{(markdown_tables if settings.all else markdown_summary)(found)}\n\n{NOTES}\n")


if __name__ == "__main__":
    try:
        main()
    except FundusSegError as error:
        sys.exit(str(error))
