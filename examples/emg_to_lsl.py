"""Play a recording as an LSL stream of EMG, as if its device were connected: `python examples/emg_to_lsl.py FILE`.

Meanwhile `emgpose live --source lsl` reads it, in another terminal or on another computer of the network.
"""

import sys
import time

from emgpose.errors import EmgPoseError, SourceEnded
from emgpose.live.sources.lsl_outlet import EmgOutlet
from emgpose.live.sources.opening import open_source


def main(recording: str, name: str = "EmgReplay") -> int:
    """Send the whole recording once somebody listens; give the number of samples sent."""
    source = open_source(f"replay:{recording}")
    with EmgOutlet(source.facts, name) as outlet:
        print(
            f"{name}: waiting for a reader of {source.facts.n_channels} channels at {source.facts.sample_rate_hz:g} Hz"
        )
        while not outlet.wait_for_reader(1.0):
            pass
        n_sent = 0
        try:
            while True:
                chunk = source.read(timeout_s=1.0)
                if chunk is not None:
                    outlet.push(chunk)
                    n_sent += len(chunk.emg)
        except SourceEnded:
            # What is on its way has to arrive before the stream ends.
            time.sleep(1.0)
    source.close()
    return n_sent


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python examples/emg_to_lsl.py FILE [NAME OF THE STREAM]")
    try:
        print(f"{main(*sys.argv[1:])} samples sent")
    except EmgPoseError as error:
        sys.exit(f"error: {error}")
