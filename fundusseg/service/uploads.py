"""Photographs of a request's body: several as multipart/form-data, or the raw bytes of one. In memory, on no disk."""

from dataclasses import dataclass, field

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from fundusseg.errors import FundusSegError
from fundusseg.imaging.csv_files import file_name
from fundusseg.service.problem import Refusal

BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"photographs": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                    "required": ["photographs"],
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
"""For the OpenAPI document: the body is read by `photographs`, not by the framework."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A photograph as it was sent.

    Attributes:
        content: Its bytes.
        name: Its file's name without folders; empty where it has none.
    """

    content: bytes = field(repr=False)
    name: str = ""


class _InMemory(MultiPartParser):
    """The framework's parser, which puts parts beyond a megabyte on the disk."""

    spool_max_size = 2**62


async def photographs(request: Request, most: int) -> list[Upload]:
    """The photographs of a body that is in memory already.

    Args:
        request: With a body.
        most: Photographs.

    Raises:
        Refusal: There is none, or there are too many, or the body is no multipart/form-data though it says so.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        uploads = await _parts(request, most)
    elif kind in ("", "application/octet-stream") or kind.startswith("image/") or kind == "application/dicom":
        uploads = [Upload(await request.body())]
    else:
        raise Refusal(
            415,
            f"a body of the type {kind[:80]!r}",
            "multipart/form-data, image/* or application/octet-stream",
            "send photographs as one of these",
        )
    if not uploads or not any(upload.content for upload in uploads):
        raise Refusal(422, "no photograph in the body", "one or more", "send a file, as in curl -F photographs=@a.jpg")
    return uploads


async def one_photograph(request: Request) -> Upload:
    """The only photograph of a body.

    Raises:
        Refusal: As `photographs`, or there are several.
    """
    uploads = await photographs(request, 1)
    return uploads[0]


async def _parts(request: Request, most: int) -> list[Upload]:
    parser = _InMemory(request.headers, request.stream(), max_files=most, max_fields=most)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if "Too many files" in error.message:
            raise Refusal(413, f"more than {most} photographs", f"{most} at most", "send them in parts") from error
        raise Refusal(400, f"a body that is no form ({error.message})", "multipart/form-data", "mend it") from error
    files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
    try:
        return [Upload(await file.read(), _name(file.filename or "")) for file in files]
    finally:
        await form.close()


def _name(sent: str) -> str:
    """The last part of what a browser or script calls a file, as `predict` would see it."""
    try:
        return file_name(sent.replace("\0", ""))[-255:]
    except (ValueError, FundusSegError):
        return ""
