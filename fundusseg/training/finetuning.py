"""Training in two stages: the decoder on a frozen encoder, then everything."""

from itertools import zip_longest
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BaseFinetuning
from torch import nn
from torch.optim import Optimizer

from fundusseg.errors import ConfigurationError


class TwoStage(BaseFinetuning):
    """Trains decoder and head on a frozen encoder, then the whole network with a smaller rate in the encoder.

    A frozen encoder runs as in evaluation: neither its weights nor its batch-norm statistics move.

    All parameter groups are in the optimiser from the first step on, each with its own share of the rate; a frozen one
    gets no gradient. So the schedule runs once over the whole training and scales all groups alike: the encoder joins
    at its share of the rate that the schedule has reached by then. A checkpoint of either stage resumes as it is.

    Several processes need ``--trainer.strategy ddp_find_unused_parameters_true``, and on XLA the second stage compiles
    one more program.

    Args:
        frozen_epochs: Epochs of the first stage; 0 leaves it out, and only the rates differ.
        encoder_rate: Rate of the encoder's top stage over the optimiser's rate; above 0.
        layer_decay: Rate of each stage of the encoder over that of the stage above, above 0 up to 1; see `stages`.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    def __init__(self, frozen_epochs: int = 5, encoder_rate: float = 0.1, layer_decay: float = 1.0) -> None:
        super().__init__()
        self.frozen_epochs, self.encoder_rate, self.layer_decay = frozen_epochs, encoder_rate, layer_decay
        for name, value, allowed, expected in (
            ("frozen_epochs", frozen_epochs, frozen_epochs >= 0, "0 or more"),
            ("encoder_rate", encoder_rate, encoder_rate > 0, "a factor above 0"),
            ("layer_decay", layer_decay, 0 < layer_decay <= 1, "a factor above 0, up to 1"),
        ):
            if not allowed:
                raise ConfigurationError(f"{name} {value}", expected, f"change {name} of TwoStage")
        self._encoder: nn.Module = nn.Module()
        self._trainable: list[nn.Parameter] = []

    def check(self, trainer: Any, task: Any) -> None:
        """Fail before any data is read.

        Raises:
            ConfigurationError: The network has no encoder, or the first stage would last the whole training.
        """
        network = getattr(task, "model", None)
        if not isinstance(getattr(network, "encoder", None), nn.Module):
            raise ConfigurationError(
                f"a network {type(network).__name__} without `encoder` for training in two stages",
                "one whose encoder is a module of that name",
                "choose another network, or leave TwoStage out",
            )
        if trainer.max_epochs is not None and trainer.max_epochs >= 0:
            self._check_length(trainer, self.frozen_epochs, trainer.max_epochs, "epochs")

    def _check_length(self, trainer: Any, frozen: float, whole: int, unit: str) -> None:
        if frozen >= whole and self.frozen_epochs and not trainer.fast_dev_run:
            raise ConfigurationError(
                f"a frozen stage of {frozen:g} {unit} in a training of {whole} {unit}",
                "a training that goes on when the encoder joins",
                f"lower frozen_epochs of TwoStage, or raise --trainer.max_{unit}",
            )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Lay out the parameter groups, before the optimiser is made."""
        if stage == "fit":
            self.check(trainer, pl_module)
            super().setup(trainer, pl_module, stage)

    def freeze_before_training(self, pl_module: Any) -> None:
        """Lay out the parameter groups.

        Nothing is frozen yet: who wraps the network for several processes must see all that will ever be trained.
        """
        self._encoder = pl_module.model.encoder
        self._trainable = trainable(self._encoder)
        pl_module.groups = self.groups(pl_module.model)

    def groups(self, network: Any) -> list[dict[str, Any]]:
        """Parameter groups, each with its name and the factor of the optimiser's rate.

        Args:
            network: Has an ``encoder``.

        Returns:
            All that is outside the encoder, then the encoder: whole, or its stages from the top down.
        """
        # By identity: == of two parameters compares their values.
        inside = {id(parameter) for parameter in network.encoder.parameters()}
        outside = [parameter for parameter in trainable(network) if id(parameter) not in inside]
        groups: list[dict[str, Any]] = [{"params": outside, "name": "decoder", "rate": 1.0}]
        if self.layer_decay == 1:
            return [*groups, {"params": trainable(network.encoder), "name": "encoder", "rate": self.encoder_rate}]
        rate, parts = self.encoder_rate, stages(network.encoder)
        # From the stage next to the decoder, which has the full encoder rate, down to the picture.
        for number, part in reversed([*enumerate(parts)]):
            groups.append({"params": part, "name": f"encoder_{number}", "rate": rate})
            rate *= self.layer_decay
        return groups

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Enter the stage; a run that resumes within an epoch starts no epoch.

        Raises:
            ConfigurationError: The first stage would last all steps of the training.
        """
        if self.frozen_epochs and trainer.max_steps >= 0:
            steps = self.frozen_epochs * trainer.num_training_batches / trainer.accumulate_grad_batches
            self._check_length(trainer, steps, trainer.max_steps, "steps")
        self._enter_stage(trainer.current_epoch)

    def finetune_function(self, pl_module: LightningModule, epoch: int, optimizer: Optimizer) -> None:
        """Enter the stage that an epoch belongs to."""
        self._enter_stage(epoch)

    def _enter_stage(self, epoch: int) -> None:
        joins = epoch >= self.frozen_epochs
        # The mode too: without a gradient, the statistics of batch norms would still move.
        self._encoder.train(joins)
        for parameter in self._trainable:
            parameter.requires_grad_(joins)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave nothing frozen behind."""
        self.teardown(trainer, pl_module, "fit")

    def teardown(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Leave nothing frozen behind."""
        if stage == "fit":
            pl_module.groups = []
            self._enter_stage(self.frozen_epochs)

    def state_dict(self) -> dict[str, Any]:
        """Leave checkpoints without a state: the epoch says which stage it is, and the groups are the optimiser's."""
        return {}


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """A module's parameters that get a gradient."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def stages(encoder: nn.Module) -> list[list[nn.Parameter]]:
    """Divide an encoder's parameters by its child modules, in the order in which it lists them.

    A child that holds all parameters (MobileNet's ``features``, timm's ``model``) is opened. Lists side by side (the
    U-Net's ``blocks`` and ``downs``) hold one module for each level, so what stands at one place in them is one stage.
    Parameters of the encoder itself, such as a transformer's position embedding, belong to the lowest stage.

    Returns:
        Each stage's parameters, the picture's side first.
    """
    own = [parameter for parameter in encoder.parameters(recurse=False) if parameter.requires_grad]
    children = [child for child in encoder.children() if trainable(child)]
    if not children:
        return [own]
    if len(children) == 1:
        parts = stages(children[0])
    elif len(lists := [child for child in children if isinstance(child, nn.ModuleList)]) == len(children):
        # The shorter list, such as poolings between the blocks, is filled up with modules of no parameter.
        levels = zip_longest(*lists, fillvalue=nn.Module())
        parts = [[parameter for module in level for parameter in trainable(module)] for level in levels]
    else:
        parts = [trainable(child) for child in children]
    return [own + parts[0], *parts[1:]]
