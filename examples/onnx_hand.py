"""A hand from raw EMG without torch: `python onnx_hand.py FOLDER EMG.npy`, FOLDER being what `emgpose export` wrote.

EMG.npy holds (time, channel) at the rate of contract.json, in any unit; its first second is rest.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def filtered(emg, sections, initial_state):
    emg, states = emg.copy(), np.array(initial_state)[:, :, None] * emg[0]
    for (b0, b1, b2, _, a1, a2), z in zip(sections, states, strict=True):
        for t, x in enumerate(emg.copy()):
            emg[t] = b0 * x + z[0]
            z[:] = b1 * x - a1 * emg[t] + z[1], b2 * x - a2 * emg[t]
    return emg


def poses(folder, emg):
    contract = json.loads((Path(folder) / "contract.json").read_text())
    session = onnxruntime.InferenceSession(Path(folder) / contract["files"]["float32"]["file"])
    states = {s["input"]: np.broadcast_to(np.array(s["initial"], s["dtype"]), s["shape"]) for s in contract["states"]}
    for step in contract["emg"]["preprocessing"]:
        emg = filtered(emg, step["sos"], step["initial_state"]) if "sos" in step else emg
        emg = emg / emg[: contract["emg"]["sample_rate_hz"]].std(axis=0) if step["step"] == "scale" else emg
    emg = np.pad(emg, ((contract["start"]["pad_samples"], 0), (0, 0))).astype(np.float32)
    n, names = contract["emg"]["chunk_samples"], [output.name for output in session.get_outputs()]
    for start in range(0, len(emg) - n + 1, n):
        outputs = dict(zip(names, session.run(names, {"emg": emg[start : start + n].T[None], **states}), strict=True))
        states = {s["input"]: outputs[s["output"]] for s in contract["states"]}
        yield from zip(outputs["frame_numbers"], outputs["joint_angles"][0].T, strict=True)


folder, recording = sys.argv[1:] if len(sys.argv) == 3 else sys.exit(__doc__)
for number, joint_angles in poses(folder, np.load(recording).astype(float)):
    print(number, "warming up" if number < 0 else np.degrees(joint_angles.astype(float)).round(2).tolist())
