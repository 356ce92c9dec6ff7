"""What is learnt and how: network, loss, scores and optimiser, on any device."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torchmetrics import Metric

from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.preparation import Preparation
from fundusseg.data.splits import Split
from fundusseg.errors import ConfigurationError
from fundusseg.models import Network, UNet, checkpoint
from fundusseg.models.compiled import Compiled
from fundusseg.models.layers import crop_centre
from fundusseg.reports.tables import Score
from fundusseg.sample import Region, Subset
from fundusseg.training.checkpoint_files import write_whole_files
from fundusseg.training.checkpoint_paths import find_folders, leave_names
from fundusseg.training.health import TerminateOnNaN, require_finite
from fundusseg.training.loss_mean import LossMean
from fundusseg.training.losses import BCELoss, DiceLoss, WeightedSum, needs_weights
from fundusseg.training.resumed_schedule import (
    Groups,
    changed,
    made_for,
    same_kind,
    same_moments,
    settings_of,
    start_again,
)
from fundusseg.training.schedules import OneCycle, Schedule
from fundusseg.training.scores import ALL, SegmentationScores, nest

_MADE_FOR = "fundusseg_schedule"
"""Key of what a checkpoint's optimiser and schedule were made for."""

Stage = Literal["train", "val", "test"]

_SCORED: dict[Any, tuple[Subset, ...]] = {
    TrainerFn.FITTING: ("val", "test"),
    TrainerFn.VALIDATING: ("val",),
    TrainerFn.TESTING: ("test",),
}
"""Which subsets a checkpoint is scored on by what the Trainer does."""


class SegmentationTask(LightningModule):
    """Trains and scores a network that gives one logit per region and pixel.

    Args:
        model: uint8 (B, 3, S, S) to logits (B, R, S, S). A network that is not derived from
            `fundusseg.models.Network` needs ``spec``: its class_path and init_args.
        loss: Of logits, targets 0..1 and valid (B, R), and pixel weights where it needs them; None takes Dice + binary
            cross entropy.
        optimizer: Made for the network's parameters.
        schedule: Of the learning rate; None keeps it constant.
        preparation: How pictures become squares; the data module's.
        sources: Licence of every source; the data module's.
        compile: Compile the network at its first batch, see `fundusseg.models.compiled.Compiled`.
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        loss: nn.Module | None = None,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.AdamW(parameters, lr=2e-3),
        schedule: Schedule | None = OneCycle(),  # noqa: B008 (it holds two numbers and no state)
        preparation: Preparation | None = None,
        sources: Mapping[str, str] | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self._to_compile = compile
        self._compiled: Compiled | None = None
        self.preparation = preparation or Preparation()
        self.regions = self.preparation.regions
        self.sources = dict(sources or {"unnamed": "not stated"})
        self.model: nn.Module = UNet(out_channels=len(self.regions)) if model is None else model
        self.loss: nn.Module = WeightedSum([DiceLoss(), BCELoss()]) if loss is None else loss
        self.optimizer, self.schedule = optimizer, schedule
        self.groups: list[dict[str, Any]] = []
        """Parameter groups, each with the factor of the optimiser's rate as ``rate``; none is the network as one.
        Callbacks set them before the optimiser is made."""
        self.thresholds: Tensor
        self.register_buffer("thresholds", torch.full((len(self.regions),), 0.5))
        self.configuration = ""
        """The whole resolved YAML, where a command line made the task: it travels in the checkpoint."""
        self.command = ""
        """What was typed there: it travels too."""
        self.earlier: tuple[checkpoint.Earlier, ...] = ()
        """The trainings that the weights come from."""
        self._given: tuple[Groups, Schedule | None, int] | None = None
        self._restored: tuple[dict[str, Any] | None, list[dict[str, Any]]] | None = None
        self.results: dict[str, list[Score]] = {}
        """The last scores of each stage."""
        self.constant: dict[str, list[Region]] = {}
        """Regions that were predicted alike in all of a stage's pictures."""
        self._check_network()
        self.scores: dict[Stage, SegmentationScores] = {}
        self.losses: dict[Stage, LossMean] = {}
        for stage in get_args(Stage):
            self.losses[stage] = LossMean()
            self.add_module(f"{stage}_loss", self.losses[stage])  # so that it moves to the device with the network
            if stage != "train":
                self.scores[stage] = SegmentationScores(self.regions, [*self.sources])
                self.add_module(f"{stage}_scores", self.scores[stage])

    def _check_network(self) -> None:
        """Fail now, not at the first batch."""
        size = self.preparation.image_size
        channels = getattr(self.model, "out_channels", len(self.regions))
        if channels != len(self.regions):
            raise ConfigurationError(
                f"a network of {channels} output channels for the regions {', '.join(self.regions)}",
                "one channel for each region",
                f"set --model.model.init_args.out_channels {len(self.regions)}, or change --data.regions",
            )
        if isinstance(self.model, Network):
            self.model.check_size(size, size)

    def forward(self, image: Tensor) -> Tensor:
        """uint8 (B, 3, S, S) to logits (B, R, S, S)."""
        # The layout of the weights, see `setup`: in another one it would be converted by convolutions.
        if image.device.type != "xla":
            image = image.contiguous(memory_format=torch.channels_last)
        if self._to_compile and self._compiled is None:
            self._compiled = Compiled(self.model)
        logits: Tensor = (self._compiled or self.model)(image)
        return logits

    def setup(self, stage: str) -> None:
        """Lay the weights out as convolutions read them fastest; XLA chooses its own layout.

        Raises:
            DatasetError: The weights come from a training on what is validated or tested on now.
            ConfigurationError: It is to be compiled for XLA, which compiles by itself.
        """
        if self._to_compile and self.trainer.strategy.root_device.type == "xla":
            raise ConfigurationError("--compile on a TPU", "neither: XLA compiles every step", "leave --compile out")
        write_whole_files(self.trainer)
        self._refuse_seen(training.split for training in self.earlier)
        if self.trainer.strategy.root_device.type != "xla":
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def on_fit_start(self) -> None:
        """Fail now, not at the first checkpoint.

        Raises:
            ConfigurationError: The network could not be rebuilt from a checkpoint.
        """
        checkpoint.network_spec(self.model, self.configuration)
        # As `load_from_checkpoint` gives it: Lightning would train it with its dropout and batch statistics at rest.
        if not any(module.training for module in self.model.modules()):
            self.model.train()

    def on_train_start(self) -> None:
        """Apply a learning rate, a schedule or a length that the resumed run did not have."""
        if self._given is not None and self._restored is not None:
            before, states = self._restored
            if changed(before, made_for(*self._given), states):
                start_again(self.trainer, *self._given)
        self._restored = None

    def configure_callbacks(self) -> list[Callback]:
        """What every training needs, whoever makes the Trainer."""
        return [TerminateOnNaN()]

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Loss of one batch.

        Raises:
            ConfigurationError: One picture, for a network that normalises a layer of one pixel over the batch.
        """
        try:
            return self._score(batch, "train")["loss"]
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ConfigurationError(
                f"a batch of one picture for {type(self.model).__name__}, which normalises a layer of one pixel",
                "two pictures or more on each device",
                "raise --data.batch_size",
            ) from error

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> dict[str, Tensor]:
        """Loss and scores of one batch.

        Returns:
            ``loss``; ``logits``, ``target`` and ``valid`` as they were scored; and ``scores``, each picture's own as
            `SegmentationScores.pictures` has them.
        """
        return self._score(batch, "val")

    def test_step(self, batch: dict[str, Tensor], batch_index: int) -> dict[str, Tensor]:
        """Loss and scores of one batch; all that validation gives, so that XLA compiles one program for both."""
        return self._score(batch, "test")

    def _score(self, batch: dict[str, Tensor], stage: Stage) -> dict[str, Tensor]:
        logits = self(batch["image"])
        # A network without padding predicts the middle of the picture.
        target, weight = crop_centre(batch["target"], logits).float() / 255, batch["weight"]
        # What only pads the last evaluation batch counts for nothing, whatever it labels.
        valid = batch["valid"] & (weight > 0)[:, None]
        loss: Tensor = self.loss(logits, target, valid, *self._pixel_weights(batch, logits))
        self.losses[stage].update(loss.detach(), weight.sum())
        output = {"loss": loss, "logits": logits, "target": target, "valid": valid}
        if stage != "train":
            # (B, R, H, W) > (R, 1, 1)
            prediction = nest(logits.float().sigmoid() > self.thresholds[:, None, None], self.regions)
            truth = nest(target > 0.5, self.regions)
            self.scores[stage].update(prediction, truth, valid, weight, batch["source"])
            output["scores"] = self.scores[stage].pictures
        return output

    def _pixel_weights(self, batch: dict[str, Tensor], logits: Tensor) -> list[Tensor]:
        """What the loss takes beside target and valid."""
        if not needs_weights(self.loss):
            return []
        if "pixel_weight" not in batch:
            raise ConfigurationError(
                f"a loss {type(self.loss).__name__} that weighs pixels, and data without weights",
                "data that stores them",
                "set --data.border_weights fundusseg.data.BorderWeights, or choose another loss",
            )
        return [crop_centre(batch["pixel_weight"], logits)]

    def on_train_epoch_end(self) -> None:
        """Log the epoch's loss: one read."""
        self._log_loss("train")

    def on_validation_epoch_end(self) -> None:
        """Log loss and scores: one read each."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log loss and scores: one read each."""
        self._log_scores("test")

    def _log_loss(self, stage: Stage) -> None:
        if not self.losses[stage].update_called:
            return  # resumed at the end of an epoch, of which no batch is left
        with self._read(self.losses[stage]):
            loss = self.losses[stage].compute().cpu()
        require_finite(
            float(loss), f"over the {stage} set in epoch {self.current_epoch + 1}, by step {self.global_step}"
        )
        self.log(f"{stage}/loss", loss, prog_bar=stage != "test")

    def _log_scores(self, stage: Stage) -> None:
        """Log every defined cell, and what chooses the checkpoint: the mean over regions of all pictures' Dice."""
        self._log_loss(stage)
        with self._read(self.scores[stage]):
            self.results[stage] = scores = self.scores[stage].scores()
            self.constant[stage] = self.scores[stage].constant()
        for score in scores:
            name = f"{score.region}_{score.metric}" if "+" not in score.region else score.metric
            place = stage if score.source == ALL else f"{stage}_{score.source}"
            if score.n:
                self.log(f"{place}/{name}", torch.tensor(score.value))  # a float would travel to the device first
        # Not by source: a source of ten pictures would choose the checkpoint as much as one of a thousand.
        cells = [s.value for s in scores if s.metric == "dice" and s.source == ALL and s.n]
        chooses = torch.tensor(sum(cells) / len(cells) if cells else 0.0)
        self.log(f"{stage}/dice", chooses, prog_bar=stage == "val")

    @contextmanager
    def _read(self, metric: Metric) -> Iterator[None]:
        """Read a metric and begin it anew; on XLA its state is fetched first, so that reading compiles nothing."""
        device = self.device
        if device.type == "xla":
            metric.cpu()
        yield
        metric.reset()
        metric.to(device)

    def configure_optimizers(self) -> Any:
        """Optimiser, and schedule over the run's whole length.

        Raises:
            ConfigurationError: The optimiser does not take its settings.
        """
        whole = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        try:
            optimizer = self.optimizer([dict(group) for group in self.groups] or whole)
            for name, value in optimizer.defaults.items():
                if isinstance(value, float) and not abs(value) <= torch.finfo(torch.float32).max:
                    raise ValueError(f"{name} {value}")
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigurationError(
                f"an optimiser that cannot be made ({error})", "settings that it takes", "change --model.optimizer"
            ) from error
        # A share of whatever rate the optimiser was given, so that one option scales all groups.
        for group in optimizer.param_groups:
            if "rate" in group:
                group["lr"] *= group.pop("rate")
        steps = int(self.trainer.estimated_stepping_batches)
        self._given = (settings_of(optimizer), self.schedule, steps)
        if self.schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.schedule(optimizer, steps)}

    def on_save_checkpoint(self, content: dict[str, Any]) -> None:
        """Add what `predict` and `evaluate` need to know, in plain types."""
        content[checkpoint.KEY] = checkpoint.describe(
            self.model,
            self.preparation,
            thresholds=dict(zip(self.regions, self.thresholds.tolist(), strict=True)),
            sources=self.sources,
            configuration=self.configuration,
            split=getattr(getattr(self.trainer, "datamodule", None), "split", None),
            command=self.command,
            earlier=self.earlier,
        ).as_dict()
        leave_names(content.get("callbacks", {}))
        content[_MADE_FOR] = None if self._given is None else made_for(*self._given)

    def on_load_checkpoint(self, content: dict[str, Any]) -> None:
        """Take the thresholds that the checkpoint describes, and outside of training the weights that it is used with.

        Where weights are averaged, the thresholds among them are averaged too; and Lightning's callback, once it has
        trained, puts the weights that were not averaged back even for a test.
        """
        thresholds = content.get(checkpoint.KEY, {}).get("thresholds", {})
        if checkpoint.KEY in content and self.trainer.ckpt_path:
            self._refuse_seen(checkpoint.parse(content, self.trainer.ckpt_path)[0].splits)
        if tuple(thresholds) == self.regions:
            # In place of the averaged ones: Lightning loads the weights after this hook.
            content["state_dict"]["thresholds"] = torch.tensor([*thresholds.values()])
        if self.trainer.ckpt_path:
            kept = [callback for callback in self.trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
            own = {callback.state_key: str(callback.dirpath) for callback in kept}
            find_folders(content.get("callbacks", {}), Path(self.trainer.ckpt_path), own)
        if self.trainer.state.fn == TrainerFn.FITTING:
            self._restored = (content.get(_MADE_FOR), content.get("lr_schedulers", []))
            content["lr_schedulers"] = same_kind(
                content.get(_MADE_FOR), self.schedule, content.get("lr_schedulers", [])
            )
            alike = settings_of(self.optimizer([nn.Parameter(torch.zeros(1))]))
            if not same_moments(content.get(_MADE_FOR), alike):
                content["optimizer_states"] = []
        # A resumed training does need the weights that were not averaged.
        if self.trainer.state.fn != TrainerFn.FITTING and "current_model_state" in content:
            content["current_model_state"] = content["state_dict"]

    def _refuse_seen(self, splits: Iterable[Split | None]) -> None:
        """Score no picture that the weights have seen, whoever gives them to a Trainer, with whatever data."""
        data, scored = getattr(self.trainer, "datamodule", None), _SCORED.get(self.trainer.state.fn)
        if scored and isinstance(data, FundusDataModule):
            data.refuse_seen([split for split in splits if split is not None], scored)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | Path, map_location: Any = None, **arguments: Any
    ) -> "SegmentationTask":
        """Rebuild the task from the file alone: network, preparation, thresholds and sources.

        Lightning's own would call the constructor with the command line's YAML, and import whatever class it names.
        Only the network's class is imported here, as `checkpoint.from_spec` allows it.

        Args:
            checkpoint_path: What `fit` wrote.
            map_location: Device of the task; None is the CPU.
            arguments: Of the constructor, in place of what the file says: the ``sources`` of other data; or what it
                does not hold: ``loss``, ``optimizer`` and ``schedule``, which are the defaults otherwise.

        Raises:
            CheckpointError: The file is missing or is not one of ours.
        """
        description, weights = checkpoint.load(checkpoint_path)
        network = checkpoint.build(description, weights, checkpoint_path)
        task = cls(network, **{"preparation": description.preparation, "sources": description.sources, **arguments})
        task.thresholds.copy_(torch.tensor([description.thresholds[region] for region in task.regions]))
        task.configuration, task.command = description.configuration, description.command
        task.earlier = description.past  # whoever trains it on has all of this behind the weights
        return task if map_location is None else task.to(map_location)
