"""Real LSL streams on this machine, in processes of their own with an LSL configuration of their own."""

import os
import subprocess
import sys
import uuid

import pytest

pytest.importorskip("pylsl")

BEFORE = """
import os
import sys
import numpy as np
from emgpose.errors import EmgPoseError, SourceLost
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.sources.lsl_inlet import open_lsl
from emgpose.live.sources.lsl_outlet import EmgOutlet
from emgpose.preprocessing import EMG2POSE_PREPROCESSING

facts = SourceFacts("x", 2000.0, ("A", "B", "C"), EMG2POSE_PREPROCESSING, "noise_floor", "left", True)

def chunk(first, n=20):
    numbers = np.arange(first, first + n, dtype=np.float32)
    return EmgChunk(first, np.stack([numbers, -numbers, 0.5 * numbers], axis=1), 0.0)

def read(source, n):
    # The stream comes through real sockets: wait as long as it takes, the test's own limit ends it.
    got = []
    while sum(len(part.emg) for part in got) < n:
        try:
            part = source.read(0.5)
        except SourceLost:
            continue
        got += [part] if part is not None else []
    return got
"""


@pytest.fixture
def run_lsl(tmp_path):
    """Run a script that sees no LSL streams but its own."""
    config = tmp_path / "lsl_api.cfg"
    config.write_text(f"[multicast]\nResolveScope = machine\n[lab]\nSessionID = {uuid.uuid4().hex}\n")

    def run(script):
        environment = {**os.environ, "LSLAPICFG": str(config)}
        done = subprocess.run(
            [sys.executable, "-c", BEFORE + script],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=environment,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_stream_arrives_whole_with_its_facts_its_losses_and_this_machines_time(run_lsl):
    run_lsl("""
import pylsl
with EmgOutlet(facts, "Band") as outlet:
    source = open_lsl()
    assert source.facts == SourceFacts(
        "lsl:Band", 2000.0, ("A", "B", "C"), EMG2POSE_PREPROCESSING, "noise_floor", "left", True
    ), source.facts
    assert outlet.wait_for_reader(10.0)
    # More than a second without losses, so that the jitter of the stamps (none) is known; then 300 and 1 are lost.
    firsts = [*range(0, 3000, 20), *range(3300, 4000, 20), *range(4001, 5001, 20)]
    for first in firsts:
        outlet.push(chunk(first))
    got = read(source, 20 * len(firsts))
    numbers = np.concatenate([part.first_sample + np.arange(len(part.emg)) for part in got])
    emg = np.concatenate([part.emg for part in got])
    assert np.array_equal(numbers, emg[:, 0]), "every sample has the number that the sender gave it"
    assert np.array_equal(emg[:, 1], -emg[:, 0])
    assert numbers[-1] == firsts[-1] + 19
    # Stamps run ahead of real time here: 5,000 samples are 2.5 s, sent in less.
    assert abs(got[0].time_s - pylsl.local_clock()) < 60.0
    source.close()
""")


def test_a_stream_that_ends_is_lost_and_found_again(run_lsl):
    run_lsl("""
now_s = 0.0
outlet = EmgOutlet(facts, "Band")
source = open_lsl("Band", clock=lambda: now_s)
outlet.wait_for_reader(10.0)
outlet.push(chunk(0))
assert [part.first_sample for part in read(source, 20)][0] == 0
outlet.close()
assert source.read(0.1) is None
now_s = 5.0
try:
    source.read(0.1)
    raise AssertionError("expected the source to be lost")
except SourceLost as lost:
    assert "nothing came for 5.0 s" in str(lost), lost
outlet = EmgOutlet(facts, "Band")
assert outlet.wait_for_reader(60.0), "LSL finds a stream with a source id by itself"
outlet.push(chunk(0))
again = read(source, 20)
assert again[0].first_sample >= 20
assert np.concatenate([part.emg for part in again])[:, 0].tolist() == list(range(20))
""")


@pytest.mark.slow
def test_a_stream_without_a_source_id_is_looked_for_and_found_again(run_lsl):
    run_lsl("""
import pylsl
def outlet_without_id():
    return pylsl.StreamOutlet(pylsl.StreamInfo("Plain", "EMG", 3, 2000.0, "int16", source_id=""))
outlet = outlet_without_id()
source = open_lsl("Plain")
assert (source.facts.channel_names, source.facts.emg_unit) == (("ch0", "ch1", "ch2"), "unknown")
outlet.wait_for_consumers(10.0)
outlet.push_chunk(np.full((20, 3), 7, dtype=np.int16))
assert np.concatenate([part.emg for part in read(source, 20)]).tolist() == [[7.0] * 3] * 20
del outlet
while True:
    try:
        source.read(0.1)
    except SourceLost as lost:
        break
outlet = outlet_without_id()
sent = False
while True:
    try:
        part = source.read(0.1)
    except SourceLost:
        continue
    if part is not None:
        assert part.emg[0].tolist() == [9.0] * 3
        assert part.first_sample >= 20
        break
    if outlet.have_consumers():
        outlet.push_chunk(np.full((20, 3), 9, dtype=np.int16))
source.close()
""")


# Looking for what is not there takes seconds.
@pytest.mark.slow
def test_streams_that_cannot_be_used_are_refused_with_what_to_do(run_lsl):
    shown = run_lsl("""
import pylsl
def stream(name, kind="EMG", rate_hz=2000.0, form="float32"):
    return pylsl.StreamOutlet(pylsl.StreamInfo(name, kind, 3, rate_hz, form, source_id=name))
def refused(*arguments, **options):
    try:
        open_lsl(*arguments, **options).close()
    except EmgPoseError as error:
        print(type(error).__name__, error)
    else:
        print("opened", arguments)
cap = stream("Cap", "EEG")
refused(resolve_timeout_s=0.5)
left, right = stream("Left"), stream("Right")
refused()
refused("Right")
events = stream("Events", rate_hz=0.0)
refused("Events")
refused("Events", input_rate_hz=2000.0)
text = stream("Notes", form="string")
refused("Notes")
refused("It's", resolve_timeout_s=0.5)
# LSL takes seconds to end this many outlets in order.
sys.stdout.flush()
os._exit(0)
""").splitlines()
    assert shown[0].startswith("StreamError lsl: expected a stream with the type EMG, none was found within 0.5 s")
    assert "'Cap' (type 'EEG')" in shown[0]
    assert shown[1].startswith("ConfigError lsl: expected one stream with the type EMG, found ")
    assert "name one as lsl:NAME" in shown[1]
    assert shown[2] == "opened ('Right',)"
    assert shown[3].startswith("RateMismatch lsl:Events: stream 'Events' has a nominal rate of 0")
    assert shown[4] == "opened ('Events',)"
    assert shown[5] == "StreamError lsl:Notes: expected a stream of numbers, it holds text"
    assert shown[6].startswith('StreamError lsl: expected a stream with the name "It\'s", none was found within 0.5 s')
