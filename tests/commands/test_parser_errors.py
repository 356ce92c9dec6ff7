"""A wrong setting, as the real parsers meet it, in one sentence: got, expected, do this."""

import pytest

from fundusseg import bundle, predict
from fundusseg.errors import ConfigurationError, nearest
from fundusseg.training.cli import FundusCLI, TrainingParser

UNET = "--model.model=fundusseg.models.UNet"
AUGMENTATION = "--data.train_augmentation=fundusseg.data.Augmentation"

SENTENCES = {
    ("--data.image_sizes=3",): "got an unknown setting 'data.image_sizes'; expected one such as 'data.image_size', "
    "'data.batch_size', 'data.datasets'; see --help.",
    (UNET, "--model.model.depht=3"): "got an unknown setting 'depht' of model.model; expected one such as 'depth', "
    "'dropout'; see --help.",
    ("--data.datasets=[{class_path: fundusseg.datasets.Phantom, init_args: {cuont: 24}}]",): "got an unknown setting "
    "'cuont' of data.datasets; expected one such as 'count'; see --help.",
    ("--trainer.callbacks=fundusseg.training.TwoStage", "--trainer.callbacks.frozen_epoch=3"): "got an unknown setting "
    "'frozen_epoch' of trainer.callbacks; expected one such as 'frozen_epochs'; see --help.",
    ("--data.roi=disk",): "got 'disk' for data.roi; expected one of 'disc', 'field_of_view', 'picture'; try 'disc'.",
    ("--data={roi: disk}",): "got 'disk' for data.roi; expected one of 'disc', 'field_of_view', 'picture'; try 'disc'.",
    (UNET, "--model.model.padding=sam"): "got 'sam' for padding of model.model; expected one of 'same', 'valid'; "
    "try 'same'.",
    ("--trainer.precision=bf16-mixd",): "got 'bf16-mixd' for trainer.precision; expected one of those that --help "
    "lists; try 'bf16-mixed', '16-mixed', 'bf16'.",
    ("--accelerator=quantum",): "got 'quantum' for accelerator; expected one of 'auto', 'cpu', 'gpu', 'tpu'; "
    "try 'auto', 'cpu', 'gpu'.",
    ("--data.batch_size=many",): "got 'many' for data.batch_size; expected a value of type int; correct it.",
    (
        "--trainer.max_epochs=two",
    ): "got 'two' for trainer.max_epochs; expected a value of type int or null; correct it.",
    (UNET, "--model.model.mean=[a]"): "got 'a' for mean of model.model; expected a value of type float; correct it.",
    (
        "--model.optimizer=AdamW",
        "--model.optimizer.lr=fast",
    ): "got 'fast' for model.optimizer.lr; expected a value of type float or Tensor; correct it.",
    ("--data.source_weights={phantom: heavy}",): "got 'heavy' for data.source_weights; expected a value of type float; "
    "correct it.",
    ("--trainer.logger=TensorBoardLoger",): "got class 'TensorBoardLoger' for trainer.logger; expected the whole "
    "import path of a class; correct the class_path.",
    ("--data.datasets=fundusseg.datasets.Papila",): "got 'fundusseg.datasets.Papila' for data.datasets; expected a "
    "value of type list of FundusDataset or null; correct it.",
    ("--data.datasets=[{class_path: fundusseg.datasets.Papilla}]",): "got class 'fundusseg.datasets.Papilla' for "
    "data.datasets; expected a class such as 'Papila' of fundusseg.datasets; correct the class_path.",
    ("--data.datasets=[{class_path: fundusseg.datasets.Papila}]",): "got no root of data.datasets; expected a value "
    "among its init_args; give it.",
    ("--model.loss=DiceLos",): "got class 'DiceLos' for model.loss; expected a class such as "
    "fundusseg.training.DiceLoss, fundusseg.training.LogDiceLoss; correct the class_path.",
    ("--model.loss=fundusseg.losses.DiceLos",): "got class 'fundusseg.losses.DiceLos' for model.loss; expected a class "
    "such as fundusseg.training.DiceLoss, fundusseg.training.LogDiceLoss; correct the class_path.",
    ("--model.optimizer=Adamm",): "got class 'Adamm' for model.optimizer; expected the whole import path of a class; "
    "correct the class_path.",
    ("--model.loss=fundusseg.datasets.Phantom",): "got 'fundusseg.datasets.Phantom' for model.loss; expected a "
    "subclass of Module; correct the class_path.",
    ("--model.optimizer=torch.optim.Adamm",): "got class 'torch.optim.Adamm' for model.optimizer; expected a class "
    "such as 'Adam', 'RAdam', 'NAdam' of torch.optim; correct the class_path.",
    (AUGMENTATION, "--data.train_augmentation.transforms=[{class_path: albumentations.VerticalFlipp}]"): "got class "
    "'albumentations.VerticalFlipp' for transforms of data.train_augmentation; expected a class such as "
    "'VerticalFlip', 'HorizontalFlip' of albumentations; correct the class_path.",
}


@pytest.fixture(scope="module")
def parser() -> TrainingParser:
    return FundusCLI([UNET]).parser


@pytest.mark.parametrize("arguments", SENTENCES)
def test_a_wrong_setting_of_a_training(arguments, parser):
    with pytest.raises(ConfigurationError) as caught:
        parser.parse_args([*arguments])
    assert str(caught.value) == SENTENCES[arguments]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("data: {roi: disk}", "got 'disk' for data.roi; expected one of 'disc', 'field_of_view', 'picture'"),
        ("data: 5", "got 5 for data; expected settings such as data.balance_ratios in lines below it"),
        ("xla: a/b", "got 'a/b' for xla; expected settings such as xla.cache_dir in lines below it"),
        ("trainer:", "got None for trainer; expected settings such as trainer.accelerator"),
        ("nonsense: 3", "got an unknown setting 'nonsense'"),
        ("data: [1", r"got a configuration that is no YAML with sections \(while parsing a flow sequence"),
        ("", r"sections \(it is empty\); expected sections such as data, model and trainer"),
        (
            "model: {loss: {class_path: fundusseg.training.WeightedSum, init_args: {losses: "
            "[{class_path: fundusseg.training.DiceLoss, init_args: {over: pixel}}]}}}",
            "got 'pixel' for over of model.loss; expected one of 'image', 'batch'",
        ),
    ],
)
def test_a_wrong_setting_in_a_file(text, sentence, parser, tmp_path):
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=sentence):
        parser.parse_args([f"--config={tmp_path / 'wrong.yaml'}"])


@pytest.mark.parametrize(
    ("verb", "arguments", "sentence"),
    [
        (predict, ["--checkpoint"], "got --checkpoint without a value; expected one"),
        (predict, ["--chekpoint", "x", "a.png"], "'chekpoint'; expected one such as 'checkpoint'; see --help"),
        (predict, ["--smoothing", "conve", "a.png"], "got 'conve' for smoothing; expected one of 'none', 'ellipse'"),
        (bundle, [], "got no segmenters; expected --segmenters on the command line; give it"),
    ],
)
def test_a_wrong_setting_of_another_command(verb, arguments, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        verb.main(arguments)


def test_case_does_not_matter_for_a_suggestion():
    assert nearest("DRISHTIGS", ["DrishtiGS", "Papila"]) == "'DrishtiGS'"
