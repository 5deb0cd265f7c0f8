"""A server on this machine that holds made files, and cuts, stalls and lies as it is told."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Fault:
    """What goes wrong with one answer.

    `cut_after` body bytes the connection breaks, `stall_after` bytes nothing more comes; `length` is what it claims;
    `ignores_range` sends the whole file; `shift` sends a span that begins later than asked; `status` answers nothing
    else; `trickle_after` bytes only one byte comes now and then; `headers` are added, and None takes one away;
    `no_length` says nothing of the length and closes; `redirect` leads elsewhere; `chunked` sends the whole file in
    chunks.
    """

    cut_after: int | None = None
    stall_after: int | None = None
    trickle_after: int | None = None
    length: int | None = None
    ignores_range: bool = False
    shift: int = 0
    status: int | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    no_length: bool = False
    redirect: str | None = None
    chunked: bool = False


class MadeServer:
    """Serves `files` by path; `faults` are used up one a request, `always` goes with every request of a path."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.faults: list[Fault | None] = []
        self.always: dict[str, Fault] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.on_request: Callable[[str], None] = lambda path: None
        self.sent_bytes = 0
        self.bytes_until_hold: int | None = None
        self.is_holding = threading.Event()
        self.released = threading.Event()
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *arguments: Any) -> None:
                pass

            def do_GET(self) -> None:
                try:
                    answer(outer, self)
                except (ConnectionError, TimeoutError):
                    self.close_connection = True

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *arguments: Any) -> None:
                """Clients that go away are what is tested."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def add(self, path: str, content: bytes, etag: str = '"one"') -> str:
        self.files[path], self.etags[path] = content, etag
        return f"{self.url}{path}"

    def ranges_of(self, path: str) -> list[str | None]:
        return [asked for name, asked in self.requests if name == path]

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


def answer(server: MadeServer, handler: BaseHTTPRequestHandler) -> None:
    path = handler.path.lstrip("/").split("?")[0]
    with server.lock:
        server.requests.append((path, handler.headers.get("Range")))
        server.on_request(path)
        known = path in server.files
        fault = server.always.get(path) or (server.faults.pop(0) if server.faults and known else None) or Fault()
    if fault.redirect is not None:
        return send(server, handler, 302, {"Location": fault.redirect}, b"", fault)
    if fault.status is not None or not known:
        return send(server, handler, fault.status or 404, {}, b"no", fault)
    content, etag = server.files[path], server.etags[path]
    headers = {"ETag": etag}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range") or "")
    same = handler.headers.get("If-Range") in (None, etag)
    if asked is None or fault.ignores_range or not same:
        return send(server, handler, 200, headers, content, fault)
    first = int(asked[1]) + fault.shift
    last = min(int(asked[2]) if asked[2] else len(content) - 1, len(content) - 1)
    if first >= len(content):
        return send(server, handler, 416, {"Content-Range": f"bytes */{len(content)}"}, b"", fault)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    return send(server, handler, 206, headers, content[first : last + 1], fault)


def send(
    server: MadeServer, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes, fault: Fault
) -> None:
    handler.send_response_only(status)
    length = {"Content-Length": str(len(body) if fault.length is None else fault.length)}
    if fault.chunked:
        length = {"Transfer-Encoding": "chunked"}
    elif fault.no_length:
        length = {"Connection": "close"}
        handler.close_connection = True
    for name, value in {**headers, **length, **fault.headers}.items():
        if value is not None:
            handler.send_header(name, value)
    handler.end_headers()
    if fault.length is not None and fault.length != len(body):
        handler.close_connection = True
    stop = next((n for n in (fault.cut_after, fault.stall_after, fault.trickle_after) if n is not None), len(body))
    for start in range(0, min(stop, len(body)), 512):
        block = body[start : min(start + 512, stop)]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(block), block) if fault.chunked else block)
        hold(server, len(block))
    if fault.chunked and stop >= len(body):
        handler.wfile.write(b"0\r\n\r\n")
    if fault.trickle_after is not None:
        for byte in body[stop:]:
            handler.wfile.write(bytes([byte]))
            if server.released.wait(0.03):
                break
    if fault.stall_after is not None:
        server.released.wait(10)
    if stop < len(body):
        handler.close_connection = True


def hold(server: MadeServer, n_bytes: int) -> None:
    """Stop sending after so many bytes, and say so, until a test goes on."""
    with server.lock:
        server.sent_bytes += n_bytes
        if server.bytes_until_hold is None:
            return
        server.bytes_until_hold -= n_bytes
        is_over = server.bytes_until_hold <= 0
    if is_over:
        server.is_holding.set()
        server.released.wait(10)
