"""A source of your own in 30 lines: a made-up band that sends UDP packets of 20 samples from 16 electrodes, at 2 kHz.

`python examples/my_device.py` moves a hand with it, whose poses are at ws://127.0.0.1:8765; see docs/add_a_device.md.
"""

import contextlib
import socket
import time

import numpy as np

from emgpose.errors import SourceLost
from emgpose.live.chunk import EmgChunk, SourceFacts

PORT, RATE_HZ, PACKET_SAMPLES, MICROVOLTS_PER_STEP = 9750, 2000.0, 20, np.float32(0.2)
PACKET = np.dtype([("number", "<u4"), ("emg", "<i2", (PACKET_SAMPLES, 16))])


class MyDevice:
    """Everything that `emgpose.live.chunk.Source` asks for."""

    def __init__(self, port: int = PORT) -> None:
        self.facts = SourceFacts(
            "my device", RATE_HZ, tuple(f"E{n}" for n in range(1, 17)), emg_unit="uV", side="right"
        )
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self._heard_s = time.monotonic()

    def read(self, timeout_s: float) -> EmgChunk | None:
        """Give the next packet; wait at most `timeout_s` for it."""
        self._socket.settimeout(timeout_s)
        try:
            data = self._socket.recv(2 * PACKET.itemsize)
        except (TimeoutError, BlockingIOError):
            if time.monotonic() - self._heard_s > 2.0:
                raise SourceLost("my device: no packet for 2 s; is the band switched on?") from None
            return None
        if len(data) != PACKET.itemsize:
            return None  # not from the band
        self._heard_s = time.monotonic()
        packet = np.frombuffer(data, PACKET)[0]
        # The device counts its packets, so those that were lost leave a gap in the numbers of the samples.
        first = int(packet["number"]) * PACKET_SAMPLES
        time_s = (first + PACKET_SAMPLES - 1) / RATE_HZ
        return EmgChunk(first, packet["emg"] * MICROVOLTS_PER_STEP, time_s)

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()


def main() -> None:
    """Move the hand until Ctrl-C."""
    from emgpose.checkpoints import load_model
    from emgpose.live.engine import Engine
    from emgpose.live.engine_settings import EngineSettings
    from emgpose.live.one_thread import use_one_thread
    from emgpose.live.run import run_live
    from emgpose.live.sinks.several import Sinks

    # Steps of 20 ms are too small to be shared between cores; waiting for each other makes them many times slower.
    use_one_thread()
    device = MyDevice()
    # Standard deviation of the EMG at rest, in the device's unit, here 5 microvolts; better measured for each channel.
    engine = Engine(load_model(), device.facts, settings=EngineSettings(noise_floor=(5.0,) * 16))
    with contextlib.suppress(KeyboardInterrupt):
        run_live(device, engine, [Sinks.from_specs(["ws"])])
    device.close()


if __name__ == "__main__":
    main()
