"""A worker process: decodes photographs, asks the networks, encodes the answers; one photograph at a time.

It is apart from the process that speaks HTTP, so that neither a decoder nor a network can hold or end that one.
"""

import logging
import os
import signal
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from fundusseg.class_paths import trust
from fundusseg.errors import FundusSegError
from fundusseg.imaging.dicom_files import is_dicom, photograph_header
from fundusseg.imaging.image_files import encode_jpeg, picture_size, read_with_light
from fundusseg.inference.capture import Capture
from fundusseg.inference.dicom_results import algorithm_of, findings_of
from fundusseg.inference.output_files import FileKind, PhotographResult, file_content, photograph_result
from fundusseg.inference.photograph_list import Photograph
from fundusseg.inference.provenance import provenance
from fundusseg.service.documents import as_bytes, photograph_document
from fundusseg.service.options import Options
from fundusseg.service.problem import Refusal

if TYPE_CHECKING:
    from fundusseg.inference.predictor import Predictor

BOUNDARY = "fundusseg-3c0f9d7e61a84b52"
"""Between the objects of an answer in DICOM: no object holds it but by intent."""

PICTURE_QUALITY = 95
"""Of the photograph itself as JPEG, on which a reader judges edges."""

Product: TypeAlias = Literal["document", "picture", "dicom"] | FileKind

_NICE = 5
"""How far workers stand behind the process that speaks HTTP, so that it answers at once while all cores compute."""

log = logging.getLogger("fundusseg.service")


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker process is made of.

    Attributes:
        checkpoint: What `fit` or `bundle` wrote.
        device: Where to compute.
        threads: Of torch; 0 leaves torch's own choice.
        megapixels: See `limits.Limits`.
        trusted: Packages whose classes the checkpoint may name.
    """

    checkpoint: str
    device: str = "cpu"
    threads: int = 0
    megapixels: float = 64.0
    trusted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Work:
    """One photograph to do.

    Attributes:
        content: Its file's bytes.
        name: The file's name, from which the eye may be told; empty where it has none.
        options: How.
        products: Of ``document`` (JSON), ``picture`` (the photograph upright, JPEG; alone it asks no network) and the
            files of `predict`.
    """

    content: bytes = field(repr=False)
    name: str = ""
    options: Options = field(default_factory=Options)
    products: tuple[Product, ...] = ("document",)


@dataclass(frozen=True, slots=True)
class Done:
    """One photograph done.

    Attributes:
        products: Content by name.
        row: Of the table, without pixels.
        seconds: Spent on it.
    """

    products: dict[Product, bytes] = field(repr=False)
    row: dict[str, Any]
    seconds: float


def run_worker(connection: Connection, settings: WorkerSettings) -> None:
    """The process: say what was loaded once the networks have run, then do one `Work` after the other.

    It ends when the other side does. Signals to stop are the other side's to handle: what is accepted is answered.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(os, "nice"):  # not on Windows
        os.nice(_NICE)
    try:
        photographer = Photographer(settings)
        connection.send(photographer.facts)
        while True:
            connection.send(photographer.answer(connection.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:  # what cannot be loaded is told to who started the service
        connection.send(error if isinstance(error, FundusSegError) else FundusSegError(f"{type(error).__name__}"))


class Photographer:
    """Does photographs by one bundle; the networks have run once when it is made."""

    def __init__(self, settings: WorkerSettings) -> None:
        # torch takes seconds to load, and the process that speaks HTTP needs none.
        import torch

        from fundusseg.inference.predictor import Predictor
        from fundusseg.xla.process import compute_device, prepare_process

        prepare_process()
        if settings.threads:
            torch.set_num_threads(settings.threads)
        trust(settings.trusted)
        self.megapixels, self.checkpoint = settings.megapixels, Path(settings.checkpoint)
        self.predictor = Predictor.from_checkpoint(settings.checkpoint, compute_device(settings.device))
        for network in self.predictor.bundle.networks.values():
            side = network.description.preparation.image_size
            network(np.zeros((1, side, side, 3), np.uint8), self.predictor.views)
        self.facts: dict[str, Any] = {
            **provenance(self.predictor, Path(settings.checkpoint)),
            "calibrated": self.predictor.calibration is not None,
        }

    def answer(self, work: Work) -> "Done | FundusSegError":
        """Do one photograph; whatever is wrong with it, the next one is done."""
        try:
            return self.do(work)
        except FundusSegError as error:
            return error
        except MemoryError:
            return Refusal(413, "a photograph that needs more memory than there is", "a smaller one", "scale it down")
        except Exception as error:  # as `predict` does: one bad file never stops the others
            log.exception("a photograph that the worker stumbled over")
            kind = type(error).__name__
            return Refusal(422, f"a photograph that cannot be measured ({kind})", "a fundus photograph", "report it")

    def do(self, work: Work) -> Done:
        """Decode and measure.

        Raises:
            ImageError: The photograph cannot be read.
            Refusal: It has too many pixels.
        """
        begun = time.monotonic()
        self._check_size(work.content)
        header = photograph_header(work.content)
        frame = _frame(header.frames if header else 1, work.options.frame)
        capture = Capture(*read_with_light(work.content, frame), header)
        image = capture.image
        if work.products == ("picture",):
            return Done({"picture": encode_jpeg(image, PICTURE_QUALITY)}, {}, time.monotonic() - begun)
        photograph = Photograph(Path(work.name), eye=work.options.eye or "", page=frame)
        result = photograph_result(photograph, image, capture.predict(self._predictor(work.options), photograph))
        result.row["file"] = work.name
        products = {product: self._product(product, photograph, result, work) for product in work.products}
        return Done(products, result.row, time.monotonic() - begun)

    def _check_size(self, content: bytes) -> None:
        width, height = picture_size(content)
        if width * height > self.megapixels * 1e6:
            raise Refusal(
                413,
                f"a photograph of {width} x {height} pixels",
                f"up to {self.megapixels:g} megapixels",
                "scale it down, or start the service with a larger --megapixels",
            )

    def _predictor(self, options: Options) -> "Predictor":
        """The same networks under a request's own options."""
        from fundusseg.inference.predictor import Predictor

        how = options.model_dump(exclude={"eye", "frame"})
        return Predictor(self.predictor.bundle, **how)

    def _product(self, name: Product, photograph: Photograph, result: PhotographResult, work: Work) -> bytes:
        if name == "document":
            return as_bytes(photograph_document(result, work.content))
        if name == "picture":
            return encode_jpeg(result.image, PICTURE_QUALITY)
        if name == "dicom":
            return self._dicom(result, work.content, photograph.page)
        return file_content(name, photograph, result, self.predictor.description.preparation.regions)

    def _dicom(self, result: PhotographResult, content: bytes, frame: int) -> bytes:
        """SEG and SR of a DICOM photograph, as DICOMweb has several objects in one body."""
        if not is_dicom(content):
            raise Refusal(
                406, "DICOM objects of a picture that is no DICOM", "a DICOM file", "ask for JSON or a picture"
            )
        from fundusseg.dicom.result_objects import result_objects

        regions = self.predictor.description.preparation.regions
        made = result_objects(content, findings_of(result.prediction, regions, frame), algorithm_of(self.checkpoint))
        head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        return b"".join(head + one + b"\r\n" for one in made.values()) + f"--{BOUNDARY}--\r\n".encode()


def _frame(frames: int, asked: int | None) -> int:
    """Which frame of a file is done, counted from 0.

    Raises:
        Refusal: There are several and none is named, or there is no such frame.
    """
    if asked is None and frames > 1:
        do = f"name one by frame=1 to frame={frames}, or send each by itself"
        raise Refusal(422, f"{frames} photographs in one DICOM file", "one of them", do)
    if (asked or 1) > frames:
        raise Refusal(422, f"frame {asked}", f"1 to {frames}", "choose one of these")
    return (asked or 1) - 1
