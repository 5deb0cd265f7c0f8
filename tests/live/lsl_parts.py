"""Run by test_lsl_for_real.py, each part in a process of its own: a band on LSL, and a program that receives poses."""

import json
import sys
from dataclasses import replace

import msgpack
import pylsl
from websockets.sync.client import connect

from emgpose.errors import SourceEnded
from emgpose.live.sources.lsl_outlet import EmgOutlet
from emgpose.live.sources.opening import open_source

WAIT_S = 60.0


def band(name: str, *recordings: str) -> None:
    """Play recordings one after the other, without a break, as one stream of a band on the right wrist."""
    sources = [open_source(f"replay:{path}") for path in recordings]
    first = 0
    with EmgOutlet(replace(sources[0].facts, side="right"), name) as outlet:
        outlet.wait_for_reader(WAIT_S)
        for source in sources:
            n_samples = 0
            try:
                while True:
                    chunk = source.read(timeout_s=1.0)
                    if chunk is not None:
                        outlet.push(replace(chunk, first_sample=first + chunk.first_sample))
                        n_samples = chunk.first_sample + len(chunk.emg)
            except SourceEnded:
                first += n_samples
                source.close()
        # Until whoever reads has had enough: the stream must not end before what is on its way has arrived.
        print(first, flush=True)
        sys.stdin.read()


def program(name: str, url: str, n_poses: str) -> None:
    """Receive poses over LSL and WebSocket until so many are fresh; print what came as JSON."""
    (found,) = pylsl.resolve_byprop("name", name, 1, WAIT_S)
    inlet = pylsl.StreamInlet(found)
    inlet.open_stream(WAIT_S)
    poses, hello = [], {}
    with connect(url, compression=None) as socket:
        while len(poses) < int(n_poses):
            message = msgpack.unpackb(socket.recv(timeout=WAIT_S))
            if message["type"] == "hello":
                hello = message
            elif not message["stale"]:
                poses.append(message)
        samples = []
        # Each pose is sent to LSL too; the newest of them may still be on its way.
        while poses[-1]["joint_angles"] not in [sample[:-1] for sample in samples]:
            sample, _ = inlet.pull_sample(WAIT_S)
            if sample is None:
                break
            samples.append(sample)
    inlet.close_stream()
    print(json.dumps({"hello": hello, "poses": poses, "samples": samples}))


if __name__ == "__main__":
    {"band": band, "program": program}[sys.argv[1]](*sys.argv[2:])
