"""The report of one round, in Markdown: what was learnt from, what changed, pictures of the largest changes."""

from collections.abc import Mapping, Sequence
from typing import Any

from fundusseg.learning.looks import CHANCE
from fundusseg.reports.tables import Markdown, markdown_table, markdown_text


def report_text(number: int, champion: str, outcome: Mapping[str, Any]) -> str:
    """Lay it out; the same outcome gives the same text.

    Args:
        number: Of the round.
        champion: File name of the bundle that was challenged.
        outcome: See `improvement_round.Outcome`, in plain types.
    """
    promoted = outcome["promoted"]
    ended = f"Promoted: {promoted}" if promoted else f"Nothing promoted; {champion} stays"
    parts = [f"# Round {number}", markdown_text(f"{ended}: {outcome['reason']}.")]
    if outcome["learnt"]:
        rows = [[name, f"{count}"] for name, count in outcome["learnt"].items()]
        parts += ["## What was learnt from", markdown_table(["", "count"], rows)]
        rows = [[grader, f"{weight:.2f}"] for grader, weight in sorted(outcome["weights"].items())]
        parts.append(markdown_table(["grader", "weight (repeat agreement, ICC)"], rows))
    if outcome["level"]:
        parts += ["## How sure it had to be", _level_text(outcome["level"], outcome["looks"])]
    if outcome["set_aside"]:
        parts += ["## What was set aside", _listed(outcome["set_aside"])]
    for step, tried in outcome["tried"].items():
        parts += [f"## The {step} challenger", markdown_text(f"{tried['reason']}.")]
        if sentences := tried.get("sentences"):
            parts.append(_listed(sentences))
            table, changes = Markdown(f"[tables]({step}/table.md)"), Markdown(f"[{step}/changes]({step}/changes)")
            if since_first := tried.get("since_first"):
                parts += ["Against the first champion:", _listed(since_first)]
            parts.append(f"{table}; largest changes, challenger in colour and champion white: {changes}.")
    return "\n\n".join(parts) + "\n"


def _level_text(level: float, looks: Sequence[bool]) -> str:
    return (
        f"Round {len(looks) + 1} of those that looked at the frozen set; {sum(looks)} of those before promoted. Better "
        f"is what chance alone would show with a one-sided probability below {level:.2g} (after Holm; half of it for "
        f"each of two challengers), so that over all rounds at most {CHANCE:.0%} of the promotions are chance, in "
        "expectation (LORD++)."
    )


def _listed(sentences: list[str]) -> str:
    return "\n".join(f"- {markdown_text(sentence)}" for sentence in sentences)
