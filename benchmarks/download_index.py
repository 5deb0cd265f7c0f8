"""What the index of the full archive costs: requests, bytes and time, against a made archive of the same shape.

    python benchmarks/download_index.py [--members 25253] [--delay-ms 20] [--connections 1 4 8]

The archive exists as a rule only: each member has a header and 18 MB of data that are computed when they are asked for.
A local server gives parts of it, each after a delay that stands for the way to the server and back.
"""

import argparse
import random
import re
import tarfile
import tempfile
import threading
import time
from bisect import bisect_right
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from emgpose.download.link import Link
from emgpose.download.remote_file import probe
from emgpose.download.tar_index import TarIndex
from emgpose.download.transport import Transport

MEAN_MEMBER_BYTES = 431 * 2**30 // 25_253


class MadeArchive:
    """A tar archive of recordings of random length, of which any part can be computed."""

    def __init__(self, n_members: int) -> None:
        draw = random.Random(0)
        self.starts, self.headers, place = [], [], 0
        for number in range(n_members):
            info = tarfile.TarInfo(f"emg2pose_dataset/2022-12-06-1670313600-made{number:05d}-recording-1_left.hdf5")
            info.size = int(MEAN_MEMBER_BYTES * draw.uniform(0.5, 1.5))
            self.starts.append(place)
            self.headers.append(info.tobuf(tarfile.GNU_FORMAT))
            place += 512 + -(-info.size // 512) * 512
        self.size_bytes = place + 10_240

    def read(self, start: int, stop: int) -> bytes:
        """Compute the bytes from `start` up to `stop`."""
        content = bytearray(b"\xa5" * (stop - start))
        n_zeros = min(stop - start, stop - self.size_bytes + 10_240)
        if n_zeros > 0:
            content[-n_zeros:] = bytes(n_zeros)
        for number in range(max(0, bisect_right(self.starts, start) - 1), len(self.starts)):
            place = self.starts[number] - start
            if place >= stop - start:
                break
            header = self.headers[number][max(0, -place) : stop - start - place]
            if place > -512:
                content[max(0, place) : max(0, place) + len(header)] = header
        return bytes(content)


def serve(archive: MadeArchive, delay_s: float, counts: dict[str, int]) -> ThreadingHTTPServer:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *arguments: Any) -> None:
            pass

        def do_GET(self) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
            start, stop = int(asked[1]), min(int(asked[2]) + 1, archive.size_bytes)
            body = archive.read(start, stop)
            with lock:
                counts["requests"] += 1
                counts["bytes"] += len(body)
            time.sleep(delay_s)
            self.send_response_only(206)
            self.send_header("ETag", '"made"')
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{archive.size_bytes}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=25_253)
    parser.add_argument("--delay-ms", type=float, default=20.0)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 4, 8])
    options = parser.parse_args()
    archive = MadeArchive(options.members)
    print(f"{options.members} members, {archive.size_bytes / 2**30:.0f} GiB, {options.delay_ms:g} ms a request")
    for connections in options.connections:
        counts = {"requests": 0, "bytes": 0}
        server = serve(archive, options.delay_ms / 1000, counts)
        link = Link()
        with tempfile.TemporaryDirectory() as folder, Transport(link.stall_s) as transport:
            url = f"http://127.0.0.1:{server.server_address[1]}/made.tar"
            index = TarIndex(Path(folder) / "index.jsonl", url, probe(url, transport, link))
            started = time.monotonic()
            members = index.complete(link, connections, lambda n: None)
            elapsed_s = time.monotonic() - started
            size = (Path(folder) / "index.jsonl").stat().st_size
        server.shutdown()
        server.server_close()
        found = [member.header_offset for member in members] == archive.starts
        print(
            f"{connections} connections: {counts['requests']} requests, {counts['bytes'] / 2**20:.1f} MiB, "
            f"{elapsed_s:.1f} s, index of {size / 2**20:.1f} MiB, {'complete' if found else 'WRONG'}"
        )


if __name__ == "__main__":
    main()
