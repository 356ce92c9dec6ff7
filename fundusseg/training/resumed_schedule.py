"""A run that goes on with another learning rate or length: a schedule made anew, from the step that is reached."""

import math
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch.optim import Optimizer

from fundusseg.data.sampling import position
from fundusseg.errors import ConfigurationError
from fundusseg.training.schedules import Schedule

Groups = list[dict[str, Any]]


def settings_of(optimizer: Optimizer) -> Groups:
    """What was given for each parameter group: rate, weight decay, ...; before a schedule has changed it."""
    return [{name: deepcopy(value) for name, value in g.items() if name != "params"} for g in optimizer.param_groups]


def made_for(settings: Groups, schedule: Schedule | None, steps: int) -> dict[str, Any]:
    """What decides rates and steps, in plain types, for a checkpoint."""
    # XLA's checkpoints make lists of tuples.
    plain = [
        {name: list(value) if isinstance(value, tuple) else value for name, value in group.items() if _is_plain(value)}
        for group in settings
    ]
    kind = None if schedule is None else {"class": type(schedule).__name__, **vars(schedule)}
    return {"settings": plain, "schedule": kind, "steps": steps}


def _is_plain(value: Any) -> bool:
    parts = value if isinstance(value, tuple | list) else [value]
    return all(part is None or isinstance(part, bool | int | float | str) for part in parts)


def changed(before: Mapping[str, Any] | None, now: Mapping[str, Any], restored: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a run goes on otherwise than it was begun.

    Args:
        before: `made_for` of the checkpoint; None in older ones.
        now: `made_for` of this run.
        restored: States of the schedules in the checkpoint.
    """
    if before is None:  # an older checkpoint tells its length alone, and only in some schedules
        return any(state.get("total_steps", now["steps"]) != now["steps"] for state in restored)
    # A plateau's schedule does not know the length of the run.
    by_step = now["schedule"] is not None and now["schedule"]["class"] != "Plateau"
    return any(before[name] != now[name] for name in ("settings", "schedule")) or (
        by_step and before["steps"] != now["steps"]
    )


def same_kind(
    before: Mapping[str, Any] | None, schedule: Schedule | None, states: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """States of the schedules in a checkpoint, where a schedule of this run can take them up."""
    kind = None if schedule is None else type(schedule).__name__
    known = None if before is None or before["schedule"] is None else before["schedule"]["class"]
    return states if before is None or kind == known else []


def same_moments(before: Mapping[str, Any] | None, settings: Groups) -> bool:
    """Whether an optimiser can take up what the checkpoint's has gathered: not another kind, of other settings."""
    now = made_for(settings, None, 0)["settings"][0]
    return before is None or {*before["settings"][0]} - {"name"} == {*now}  # the name is the parameter group's own


def require_steps_left(content: Mapping[str, Any], max_epochs: int | None, max_steps: int, changed: bool) -> None:
    """Refuse a run that is over and is to go on otherwise: nothing that was given would have an effect.

    Args:
        content: Of the checkpoint.
        max_epochs: Length that is asked for; None or -1 for none.
        max_steps: The same in steps; -1 for none.
        changed: Whether its optimiser, schedule, loss or batch is another than the checkpoint's.

    Raises:
        ConfigurationError: No step is left, and the length or a setting is another.
    """
    try:
        epochs = int(content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
        done = (("epochs", epochs, max_epochs), ("steps", int(content["global_step"]), max_steps))
    except (KeyError, TypeError, ValueError):
        return  # a checkpoint from which no training goes on: that is said where it is restored
    for unit, reached, length in done:
        if length is not None and 0 <= length <= reached and (changed or length < reached):
            raise ConfigurationError(
                f"max_{unit} {length} for a run that has trained {reached} {unit}",
                f"more than {reached}: nothing is left to train with what was given",
                f"raise --trainer.max_{unit}",
            )


def start_again(trainer: Trainer, settings: Groups, schedule: Schedule | None, steps: int) -> None:
    """Give the optimiser what was given, and a schedule over the new length, at the place that the run has reached.

    The optimiser's moments stay. The place counts in this run's steps: after half of the epochs it is half of the
    schedule, whatever the batch was before.
    """
    optimizer = trainer.optimizers[0]
    for group, given in zip(optimizer.param_groups, settings, strict=True):
        parameters = group["params"]
        # What a schedule has left in the group, such as initial_lr, would be taken for the new rate.
        group.clear()
        group |= {"params": parameters, **deepcopy(given)}
    if schedule is None:
        return
    scheduler = schedule(optimizer, steps)["scheduler"]
    config = trainer.lr_scheduler_configs[0]
    reached = _reached(trainer, steps) if config.interval == "step" else 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch expects a step of the optimiser before each
        for _ in range(reached):
            scheduler.step()
    config.scheduler = scheduler
    rates = ", ".join(f"{group['lr']:.3g}" for group in optimizer.param_groups)
    rank_zero_info(f"Goes on with other settings: the schedule is at step {reached} of {steps}, the rate {rates}.")


def _reached(trainer: Trainer, steps: int) -> int:
    if trainer.max_steps != -1:
        return min(trainer.global_step, steps)
    epoch, batches = position(trainer)
    a_step = trainer.accumulate_grad_batches
    return min(epoch * math.ceil(trainer.num_training_batches / a_step) + batches // a_step, steps)
