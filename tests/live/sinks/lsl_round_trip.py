"""Run by test_lsl_sink.py in a process of its own, where LSL is set to this machine and a session of its own.

Prints what an inlet received from the sink, as JSON.
"""

import itertools
import json

import pylsl
from made_poses import HELLO, made_frame

from emgpose.live.sinks.lsl import STREAM_TYPE, LslSink

WAIT_S = 30.0


def main() -> None:
    sink = LslSink("round trip")
    sink.open(HELLO)
    (found,) = pylsl.resolve_byprop("name", "round trip", 1, WAIT_S)
    inlet = pylsl.StreamInlet(found)
    inlet.open_stream(WAIT_S)
    info = inlet.info(WAIT_S)
    facts = info.desc().child("emgpose")
    for index in range(5):
        sink.send(made_frame(index, stale=index == 3))
    samples = [inlet.pull_sample(WAIT_S) for _ in range(5)]
    print(
        json.dumps(
            {
                "type_is_ours": info.type() == STREAM_TYPE,
                "rate_hz": info.nominal_srate(),
                "labels": info.get_channel_labels(),
                "units": info.get_channel_units(),
                "model": facts.child_value("model"),
                "delay_s": facts.child_value("delay_s"),
                "values": [values for values, _ in samples],
                "stamps_rise": all(a[1] <= b[1] for a, b in itertools.pairwise(samples)),
            }
        )
    )
    inlet.close_stream()
    sink.close()
    sink.close()
    sink.send(made_frame(9))


if __name__ == "__main__":
    main()
