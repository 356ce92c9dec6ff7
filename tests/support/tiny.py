"""A training that takes a second: the arguments of `fit`."""

TINY = [
    "--data.image_size=32",
    "--data.batch_size=4",
    "--data.datasets=[{class_path: fundusseg.datasets.Phantom, init_args: {count: 24, size: 96}}]",
    "--model.model=fundusseg.models.UNet",
    "--model.model.start_channels=4",
    "--model.model.depth=2",
    "--trainer.max_epochs=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.accelerator=cpu",
]
