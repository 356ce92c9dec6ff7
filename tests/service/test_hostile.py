"""Requests that nobody in good faith sends: every answer is 4xx or 503 with one sentence, and the service lives on."""

import io
import json
import os
import random
import signal
import socket
import struct
import time
import zlib
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.support.fuzzing import ODD_VALUES, damaged
from tests.support.located import photograph
from tests.support.service import PHOTOGRAPH, form, service

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("FUNDUSSEG_HOSTILE", "150"))
"""5,000 by hand."""

PATHS = (
    *("/v1/predictions", "/v1/predictions", "/v1/pictures", "/v1/measures", "/v1/models", "/v1/jobs", "/v1/store"),
    *(
        "/v1/jobs?charts=true",
        "/v1/store/photographs?patient=P1&grader=a",
        "/v1/store/photographs?patient=../../x&grader=%00",
    ),
    *("/v1/store/gradings", "/v1/store/adjudications", "/v1/store/deletions", "/v1/store/worklist?grader=a"),
    *("/", "/docs", "/metrics", "/page/docs.css", "/openapi.json", "/readyz"),
)
ODD_PATHS = (
    *("/../../etc/passwd", "/page/../app.py", "/page/..%2f..%2fapp.py", "/page/%2e%2e/app.py", "//etc/passwd", "/%00"),
    *("/page/\\..\\app.py", "/v1/predictions/", "/v1/predictions/../models", "*", "/?" + "a" * 9000, "/%ff%fe"),
    *("/v1/store/photographs/" + "0" * 64, "/v1/jobs/1/result", "http://elsewhere/v1/models", "/page/", "/page"),
)
ODD_NAMES = (
    "../../etc/passwd",
    "C:\\up\\..\\a.png",
    "a\0b.png",
    "é\U0001f441.png",
    "",
    " ",
    ".",
    "..",
    "/",
    "x" * 5000,
    "%n%s",
    "a;b.png",
)


def bomb(width, height):
    """A PNG of a few bytes that claims many pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def small(kind):
    stream = io.BytesIO()
    Image.fromarray(photograph()).resize((120, 100)).save(stream, kind)
    return stream.getvalue()


SMALL = {kind: small(kind) for kind in ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "JPEG2000")}


def request(method, path, body=b"", **headers):
    fields = {
        "Host": "localhost",
        "Content-Length": str(len(body)),
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def a_body(chance):
    """Content and its type."""
    content = SMALL[chance.choice([*SMALL])]
    match chance.randrange(7):
        case 0:
            return damaged(content, chance), "application/octet-stream"
        case 1:
            body, kind = form([(chance.choice(ODD_NAMES), damaged(content, chance))])
            return body, kind
        case 2:
            body, kind = form([("a.png", content)] * chance.choice((1, 2, 40)))
            return damaged(body, chance), chance.choice((kind, "multipart/form-data", kind + "; charset=klingon"))
        case 3:
            return bomb(*chance.choice(((50_000, 50_000), (2**31 - 1, 2**31 - 1), (9_000, 9_000), (0, 5)))), "image/png"
        case 4:
            return json.dumps(
                {"width": 5, "height": 5, "contours": chance.choice(ODD_VALUES)}
            ).encode(), "application/json"
        case 5:
            return chance.choice(
                (b"[" * 100_000, b'{"width": 1e999}', b"\xff\xfe", b"{", b"null", b"")
            ), "application/json"
        case _:
            return chance.randbytes(chance.choice((0, 1, 100, 10_000))), chance.choice(
                ("text/html", "image/png", "", "x")
            )


def hostile(chance):
    """The parts of one connection's request, sent one after the other, and whether its end is half closed."""
    body, kind = a_body(chance)
    path = chance.choice(PATHS)
    whole = request("POST", path, body, Content_Type=kind)
    match chance.randrange(14):
        case 0:
            return [damaged(whole, chance)], True
        case 1:
            return [chance.randbytes(chance.choice((1, 50, 5_000)))], True
        case 2:
            return [
                request(
                    chance.choice(("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "BREW")), path, body
                )
            ], False
        case 3:
            return [request(chance.choice(("GET", "POST")), chance.choice(ODD_PATHS), body)], True
        case 4:
            size = chance.choice(("-1", "1e9", "99999999999", "0x10", "", "5, 7", str(len(body) + 9)))
            return [request("POST", path, body, Content_Length=size)], True
        case 5:
            chunks = (
                b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:70], body[70:]) if part) + b"0\r\n\r\n"
            )
            head = request("POST", path, Content_Length=None, Transfer_Encoding="chunked", Content_Type=kind)
            return [head + chance.choice((chunks, damaged(chunks, chance), b"zz\r\n", b"ffffffffff\r\n"))], True
        case 6:
            return [request("POST", path, zlib.compress(body), Content_Encoding="gzip", Content_Type=kind)], False
        case 7:
            name = chance.choice(("views", "smoothing", "eye", "millimetres_per_pixel", "x"))
            query = f"?{name}={chance.choice(('9', '', 'NaN', '-1', '%00', 'inf'))}"
            return [request("POST", "/v1/predictions" + query, PHOTOGRAPH, Content_Type="image/png")], False
        case 8:
            accept = chance.choice(("text/html", "image/png", "*/*;q=0", ";;;", "image/*;q=x", "a" * 5000))
            return [request("POST", "/v1/predictions", body, Accept=accept, Content_Type=kind)], False
        case 9:
            return [whole[: len(whole) // 2]], True
        case 10:
            upgrade = {
                "Connection": "Upgrade",
                "Upgrade": chance.choice(("websocket", "h2c")),
                "Sec-WebSocket-Key": "x",
            }
            return [request("GET", path, **upgrade)], False
        case 11:
            host = chance.choice(("elsewhere.example", "", "localhost:99999", "[::1", None))
            return [request("POST", path, body, Host=host, Origin="https://elsewhere.example")], False
        case 12:
            return [request("POST", path, body, Content_Type=kind, Expect="100-continue", X_Long="a" * 70_000)], False
        case _:
            return [whole], chance.random() < 0.3


def answer_of(port, parts, half_closed):
    """What comes back, all of it; where nothing came, why: the connection was reset, or closed without a word."""
    content = b""  # a connection may be reset while its request is still sent
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            if half_closed:
                connection.shutdown(socket.SHUT_WR)
            connection.settimeout(15)
            bodiless = parts[0].startswith(b"HEAD")
            while not (b"\r\n\r\n" in content and (bodiless or _whole(content))) and (more := connection.recv(65536)):
                content += more
        except OSError as error:
            assert not isinstance(error, TimeoutError), f"no answer to {parts[0][:300]!r}"
            return content or type(error).__name__.encode()
        return content or b"closed"


def _first(content):
    """Head and body of the first answer that is none in between; what was sent too much may have got a second one."""
    head, _, body = content.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        return _first(body)
    sizes = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head, body[: int(sizes[0])] if sizes else body


def _whole(content):
    head, _, body = content.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        return _whole(body)
    if not head:
        return False
    size = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    return len(body) >= int(size.partition(b":")[2])


def test_whatever_comes_is_answered_in_one_sentence_and_the_service_lives_on(bundle, tmp_path):
    places = {name: str(tmp_path / name) for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME")}
    for place in places.values():
        Path(place).mkdir()
    statuses, mute = Counter(), Counter()
    bounds = ("--body_seconds", "3", "--header_seconds", "3", "--megabytes", "2", "--job_megabytes", "8")
    with service(bundle, *bounds, "--store", str(tmp_path / "store"), **places) as running:
        before = running.workers
        for number in range(COUNT):
            parts, half_closed = hostile(random.Random(number))
            content = answer_of(running.port, parts, half_closed)
            if not content.startswith(b"HTTP/1.1 "):
                # Who ends its own side of a connection hangs up: what it asked for is not done.
                mute["half closed" if half_closed else (content, parts[0][:60])] += 1
                continue
            head, body = _first(content)
            status = int(head.split(b" ")[1])
            statuses[status] += 1
            assert status < 500 or status == 503, (number, parts[0][:300], content[:600])
            assert b"Traceback" not in content, (number, content[:600])
            if status >= 400 and not parts[0].startswith(b"HEAD"):
                problem = json.loads(body)
                assert b"content-type: application/problem+json" in head.lower(), (number, head)
                assert problem["status"] == status
                assert problem["detail"].startswith("got "), (number, problem)
            if status == 202:  # a job that nobody wants any more
                assert running.ask("DELETE", f"/v1/jobs/{json.loads(body)['id']}").status == 204
        assert running.post("/v1/predictions", PHOTOGRAPH).status == 200
        assert running.workers == before
        # Twice: for a minute it is hoped that jobs are fetched, whose clients here hung up before they knew of them.
        running.process.send_signal(signal.SIGINT)
        time.sleep(1)
        # The second one ends what has not ended, as Ctrl-C twice does.
        assert running.stop(signal.SIGINT) in (0, -signal.SIGINT)
    assert [path for place in places.values() for path in Path(place).iterdir()] == []
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"fundusseg.sqlite"}
    print(statuses, mute)
    assert set(mute) <= {"half closed"}
    assert {200, 400, 413, 415, 422} <= set(statuses)


@pytest.fixture(scope="module")
def hasty(bundle):
    """A service that waits for nobody."""
    with service(bundle, "--body_seconds", "1", "--header_seconds", "1", "--connections", "8") as running:
        yield running


@pytest.mark.parametrize(
    "parts",
    [
        [b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc"],
        [b"POST /v1/predictions HT"],
        [b""],
        [b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HT"],
    ],
    ids=["body", "head", "nothing", "second head"],
)
def test_what_comes_too_slowly_is_told_408(hasty, parts):
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=10) as connection:
        begun = time.monotonic()
        for part in parts:
            connection.sendall(part)
        content = b""
        # A drop at a time keeps no connection open.
        while time.monotonic() - begun < 8:
            connection.settimeout(0.3)
            try:
                more = connection.recv(65536)
                content += more
                if not more:
                    break
                if b"408" in content and b"}" in content:
                    break
            except TimeoutError:
                if parts != [b""]:
                    connection.sendall(b"X" if parts[0].endswith(b"HT") else b"x")
        assert b" 408 " in content
        assert b"longer than 1 seconds" in content
        assert 0.8 < time.monotonic() - begun < 6


def test_connections_beyond_the_cap_are_told_503_and_the_others_live(hasty):
    idle = [socket.create_connection(("127.0.0.1", hasty.port)) for _ in range(8)]
    time.sleep(0.2)
    answer = hasty.get("/livez")
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    assert "too many connections" in answer.json["detail"]
    for connection in idle:
        connection.close()
    time.sleep(0.3)
    assert hasty.get("/livez").status == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_told_413_before_it_is_read(hasty, chunked):
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=10) as connection:
        size = 10**12 if not chunked else 0
        length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
        connection.sendall(b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\n" + length + b"\r\n\r\n")
        block = bytes(2**20)
        if chunked:
            for _ in range(34):
                connection.sendall(b"%x\r\n%b\r\n" % (len(block), block))
        assert b" 413 " in connection.recv(65536)


def test_a_bomb_costs_nothing(hasty):
    begun = time.monotonic()
    answer = hasty.post("/v1/predictions", bomb(9_000, 9_000))
    assert answer.status == 413
    assert "9000 x 9000 pixels; expected up to 64 megapixels" in answer.json["detail"]
    assert time.monotonic() - begun < 5


def test_a_token_is_needed_and_cannot_be_guessed(bundle):
    token = "correct-horse-battery"
    with service(bundle, "--host", "127.0.0.1", FUNDUSSEG_TOKEN=token) as running:
        for path in ("/livez", "/readyz", "/docs", "/page/docs.css", "/openapi.json"):
            assert running.get(path).status == 200
        for given in (
            {},
            {"Authorization": "Bearer "},
            {"Authorization": f"Basic {token}"},
            {"Authorization": "Bearer \xff"},
        ):
            for path in ("/v1/models", "/metrics", "/v1/store", "/nowhere"):
                answer = running.get(path, **given)
                assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        chance = random.Random(0)
        for _ in range(100):
            guess = "".join(chance.choices(token, k=chance.randint(1, 40)))
            assert running.get("/v1/models", Authorization=f"Bearer {guess}").status == 401
        assert running.get("/v1/models", Authorization=f"bearer {token}").status == 200


def test_another_host_s_name_and_another_site_s_page_are_refused(running):
    assert running.get("/v1/models", Host="elsewhere.example").status == 421
    assert running.get("/v1/models", Origin="https://elsewhere.example").status == 403
    assert running.get("/v1/models", Origin=f"http://127.0.0.1:{running.port}").status == 200
