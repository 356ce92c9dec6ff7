"""What a grader decides about one photograph, as it is posted, and what is kept of it."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fundusseg.sample import Eye
from fundusseg.service.measure_routes import Outlines
from fundusseg.service.problem import Refusal

Decision = Literal["accept", "correct", "reject", "withdraw"]


def _name(text: str) -> str:
    if not (name := text.strip()).isprintable() or not name:
        raise ValueError("should be a name")
    return name


Name = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_name)]
"""Of a grader or patient."""

Round = Annotated[int, Field(ge=1, le=1000, description="1, or 2, 3, ... for repeats of the set.")]


class Posted(BaseModel):
    """One decision; sent again with the same id it counts once."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^[0-9a-fA-F-]{8,64}$", description="Made by the client: a UUID.")
    photograph: str = Field(pattern=r"^[0-9a-f]{64}$")
    grader: Name
    round: Round = 1
    decision: Decision
    contours: Outlines | None = None
    prediction: int | None = Field(None, ge=1, le=2**53, description="Number of the prediction that was on the screen.")
    chosen: str | None = Field(None, max_length=64, description="Of an adjudication: the grading that stands.")
    reason: str = Field("", max_length=2000)
    comment: str = Field("", max_length=2000)
    eye: Eye | None = None

    def check(self, adjudicating: bool) -> None:
        """Refuse what its decision lacks.

        Raises:
            Refusal: 422.
        """
        needs = {
            "correct": (self.contours is not None and len(self.contours.disc) > 2, "contours with a disc"),
            "reject": (bool(self.reason.strip()), "a reason"),
            "accept": (
                self.chosen is not None if adjudicating else self.prediction is not None,
                "the grading that is chosen" if adjudicating else "the number of the prediction",
            ),
            "withdraw": (not adjudicating, "accept, correct or reject"),
        }
        there, what = needs[self.decision]
        if not there:
            raise Refusal(422, f"the decision {self.decision!r} without {what}", what, "send it with one")
        if self.contours is not None and self.decision != "correct":
            raise Refusal(422, f"contours with {self.decision!r}", "them with 'correct' alone", "leave them out")
        if self.chosen is not None and not (adjudicating and self.decision == "accept"):
            raise Refusal(422, "a chosen grading", "one with 'accept' of an adjudication alone", "leave it out")


@dataclass(frozen=True, slots=True)
class Grading:
    """A decision as it is kept.

    Attributes:
        id: The client's.
        photograph: SHA-256 of its bytes.
        grader: Who.
        round: 1, or later ones for repeats.
        decision: ``accept``, ``correct``, ``reject``, ``withdraw``, or ``adjudicate``.
        adjudication: Whether it settles between graders.
        reason: Why rejected.
        comment: Of the grader.
        eye: As she says, or as it was kept.
        at: When, UTC.
        masked: Whether she had not been shown the network's outline in this round.
        before: The network's outline, where she had been shown it.
        after: Hers.
        measures: Of hers.
        rim: Of hers.
        chosen: The grading that stands.
        predicted: Number of the prediction that was on the screen, or of the latest.
        bundle: Digest of what made the prediction.
        version: Likewise.
    """

    id: str
    photograph: str
    grader: str
    round: int
    decision: str
    adjudication: bool
    reason: str
    comment: str
    eye: str
    at: str
    masked: bool
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    measures: dict[str, Any] | None
    rim: dict[str, Any] | None
    chosen: str | None
    predicted: int
    bundle: str
    version: str

    @property
    def vertical_cdr(self) -> float | None:
        """None where there is no outline, or it has none."""
        return (self.measures or {}).get("vertical_cdr")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def says(self, posted: Posted) -> bool:
        """Whether a request that is sent again is the same."""
        same = (self.photograph, self.grader, self.round) == (posted.photograph, posted.grader, posted.round)
        drawn = posted.contours is None or self.after == posted.contours.model_dump(mode="json")
        return same and drawn and (self.decision == posted.decision or self.adjudication)


def latest(gradings: list[Grading]) -> dict[tuple[str, str, int], Grading]:
    """What stands of gradings in their order: the last of each photograph, grader and round, unless withdrawn."""
    last = {(one.photograph, one.grader, one.round): one for one in gradings if not one.adjudication}
    return {key: one for key, one in last.items() if one.decision != "withdraw"}
