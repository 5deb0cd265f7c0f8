"""Exported files: equal to torch in onnxruntime, described by their contract, whole or not there."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from emgpose.errors import CheckpointError, ConfigError, DataError, MissingExtraError, ShapeError
from emgpose.hand import JOINTS
from emgpose.live.export import CheckSignal, OnnxStream, export_onnx, folder, recorded_signal, simulated_signal
from emgpose.models import MODELS, EmgModel, build_model
from emgpose.preprocessing import Bandpass, Highpass, Notch, Preprocessing, Resample, Scale
from emgpose.signals import Preprocessor
from exported_models import VARIANTS, narrow_model, some_emg, some_pose
from generated import generate_session

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "onnx_hand.py"
# One of each kind of graph; the slow test has them all.
SOME = ["regression_vemg2pose", "emgpose50"]
STREAMING = [name for name in MODELS if "stream" in narrow_model(name).modes] + list(VARIANTS)
LONG = 20_000


def some_signal(n_samples: int = 5_000) -> CheckSignal:
    truth = np.full((n_samples, 20), np.nan, dtype=np.float32)
    truth[1_500:] = 0.2
    return CheckSignal("noise", some_emg(n_samples)[0].T.numpy(), truth)


def from_torch(model: EmgModel, emg: NDArray[np.float32], pose: torch.Tensor | None) -> NDArray[np.float32]:
    with torch.inference_mode():
        frames, _ = model(torch.tensor(emg.T[None]), model.initial_state(pose))
    return frames[0].T.numpy()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Export a narrow model once, with its 8-bit copy."""
    done: dict[str, Path] = {}

    def give(name: str) -> Path:
        if name not in done:
            done[name] = tmp_path_factory.mktemp("exported")
            export_onnx(narrow_model(name), done[name], int8=True, signal=some_signal(), checkpoint_sha256="abc")
        return done[name]

    return give


def contract_of(path: Path) -> dict[str, Any]:
    contract: dict[str, Any] = json.loads((path / "contract.json").read_text())
    return contract


# --- equal to torch


def test_a_long_stream_in_any_chunks_is_what_torch_gives(exported: Callable[[str], Path]) -> None:
    rng = np.random.default_rng(3)
    emg, pose = some_emg(LONG)[0].T.numpy(), some_pose()
    for name in SOME:
        stream = OnnxStream(exported(name))
        stream.reset(pose[0].numpy())
        cuts = np.sort(rng.integers(0, LONG, 60))
        numbers, frames = zip(*(stream.push(chunk) for chunk in np.split(emg, cuts)), strict=True)
        expected = from_torch(narrow_model(name), emg, pose)
        n_frames = sum(map(len, numbers))
        assert len(expected) - n_frames < stream.contract["frames"]["per_call"]
        np.testing.assert_array_equal(np.concatenate(numbers), np.arange(n_frames))
        np.testing.assert_allclose(np.concatenate(frames), expected[:n_frames], atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMING)
def test_every_model_that_streams_is_exported_equal_to_torch(name: str, tmp_path: Path) -> None:
    emg, pose = some_emg(LONG)[0].T.numpy(), some_pose()
    export_onnx(narrow_model(name), tmp_path, signal=some_signal())
    stream = OnnxStream(tmp_path)
    stream.reset(pose[0].numpy())
    numbers, frames = stream.push(emg)
    assert len(numbers) > 400
    np.testing.assert_allclose(frames, from_torch(narrow_model(name), emg, pose)[: len(frames)], atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tracking_vemg2pose", "emgpose50"])
def test_a_model_of_full_size_is_exported_equal_to_torch(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    report = export_onnx(build_model(name), tmp_path, int8=True)
    assert report.from_model.max_rad < 1e-5
    assert report.from_float32 is not None
    assert report.files["int8"].stat().st_size < 0.6 * report.files["float32"].stat().st_size


def test_8_bits_differ_by_what_the_report_and_the_contract_say(exported: Callable[[str], Path]) -> None:
    path, signal = exported("emgpose50"), some_signal()
    runs = []
    for precision in ("float32", "int8"):
        stream = OnnxStream(path, precision)
        runs.append(stream.push(signal.emg)[1])
    difference = contract_of(path)["checked"]["int8_from_float32"]
    # As in the export, from the model's own pose: the true one is not known at frame 0.
    apart = np.abs(runs[1] - runs[0])
    assert difference["mean_rad"] == pytest.approx(apart.mean(), rel=1e-3)
    assert difference["max_rad"] == pytest.approx(apart.max(), rel=1e-3)
    assert 1e-5 < difference["mean_rad"] < difference["max_rad"] < 0.5
    assert difference["mae_rad"] == pytest.approx(difference["reference_mae_rad"], abs=0.01)
    operators = {node.op_type for node in onnx.load(path / "model.int8.onnx").graph.node}
    assert "MatMulInteger" in operators
    assert "Gemm" not in operators


def test_what_was_learned_as_a_start_is_given_where_the_host_gives_none(tmp_path: Path) -> None:
    model = narrow_model("one convolution")
    assert isinstance(model.initial_pose, torch.nn.Parameter)
    with torch.no_grad():
        model.initial_pose.fill_(0.25)
    model.set_task("regression")
    path = tmp_path
    report = export_onnx(model, path, signal=some_signal())
    contract = contract_of(path)
    assert contract["model"]["task"] == "regression"
    assert contract["initial_pose"] == {"state": "pose", "given_by_host": False, "unit": "rad"}
    assert contract["states"][0]["initial"] == [[0.25] * 20]
    assert report.from_float32 is None
    stream = OnnxStream(path)
    stream.reset(np.ones(20))  # not used: regression does not know a pose
    emg = some_emg(4_000)[0].T.numpy()
    _, frames = stream.push(emg)
    np.testing.assert_allclose(frames, from_torch(model, emg, None)[: len(frames)], atol=1e-5, rtol=0)


# --- the contract


def test_the_contract_says_everything_that_a_host_needs(exported: Callable[[str], Path]) -> None:
    path = exported("regression_vemg2pose")
    contract = contract_of(path)
    assert (contract["format"], contract["format_version"]) == ("emgpose onnx step", 1)
    assert contract["model"]["name"] == "regression_vemg2pose"
    assert contract["model"]["trained_on"] == "none"
    assert contract["model"]["checkpoint_sha256"] == "abc"
    assert contract["emg"]["shape"] == [1, 16, 80]
    assert contract["emg"]["sample_rate_hz"] == 2000
    assert contract["joint_angles"]["joints"] == list(JOINTS)
    assert np.shape(contract["joint_angles"]["limits_rad"]) == (20, 2)
    assert contract["frames"]["rate_hz"] == 50
    assert contract["frames"]["delay_samples"] == [40, 0]
    assert contract["frames"]["first_frame_sample"] == 1790
    assert contract["start"]["pad_samples"] == 49
    assert contract["start"]["warm_up_calls"] == 22
    assert [state["input"] for state in contract["states"]][:3] == ["pose", "frame", "features"]
    assert contract["checked"]["emg"] == "noise"
    assert contract["checked"]["float32_from_model"]["max_rad"] < 1e-5


def test_names_shapes_and_types_in_the_contract_are_those_of_the_graph(exported: Callable[[str], Path]) -> None:
    for name in SOME:
        path = exported(name)
        contract = contract_of(path)
        for precision, entry in contract["files"].items():
            content = (path / entry["file"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == entry["sha256"]
            graph = onnx.load_from_string(content).graph
            states = contract["states"]
            inputs = [contract["emg"], *states]
            assert [(x["input"], x["dtype"], x["shape"]) for x in inputs] == [tensor_facts(x) for x in graph.input]
            outputs = [contract["joint_angles"], contract["frames"], *states]
            assert [(x["output"], x["dtype"], x["shape"]) for x in outputs] == [tensor_facts(x) for x in graph.output]
            assert precision in ("float32", "int8")


def tensor_facts(value: onnx.ValueInfoProto) -> tuple[str, str, list[int]]:
    tensor = value.type.tensor_type
    dtype = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    return value.name, dtype, [dimension.dim_value for dimension in tensor.shape.dim]


def test_filters_stand_in_the_contract_with_their_coefficients(tmp_path: Path) -> None:
    from scipy.signal import sosfilt

    model = narrow_model("static_regression")
    steps = (Highpass(5.0), Resample(2000.0), Notch(50.0), Bandpass(), Scale())
    model.card = type(model.card)(**(vars(model.card) | {"preprocessing": Preprocessing(steps)}))
    export_onnx(model, tmp_path, signal=some_signal())
    entries = contract_of(tmp_path)["emg"]["preprocessing"]
    assert [entry["step"] for entry in entries] == ["highpass", "resample", "notch", "bandpass", "scale"]
    # Before a resampling the rate is the device's own, which nobody knows here.
    assert "sos" not in entries[0]
    assert "device's own rate" in entries[0]["how"]
    emg = some_emg(1_000)[0].T.numpy() + 40.0
    for entry, step in zip(entries[2:4], steps[2:4], strict=True):
        state = np.array(entry["initial_state"])[:, :, None] * emg[0]
        filtered, _ = sosfilt(entry["sos"], emg, axis=0, zi=state)
        np.testing.assert_allclose(filtered, Preprocessor((step,), 2000.0, 16).process(emg), atol=1e-4)


def test_nothing_of_the_machine_that_exported_stands_in_the_files(exported: Callable[[str], Path]) -> None:
    for file in exported("emgpose50").iterdir():
        content = file.read_bytes()
        assert b".py" not in content
        assert str(EXAMPLE.parents[1]).encode() not in content


# --- files


def test_exporting_again_without_8_bits_takes_the_old_copy_away(tmp_path: Path) -> None:
    model = narrow_model("static_tracking")
    export_onnx(model, tmp_path, int8=True, signal=some_signal())
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "model.int8.onnx", "contract.json"}
    export_onnx(model, tmp_path, signal=some_signal())
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "contract.json"}
    with pytest.raises(ConfigError, match=r"holds float32, not 'int8'; export again with --int8"):
        OnnxStream(tmp_path, "int8")


def test_a_graph_that_does_not_give_what_the_model_gives_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "LARGEST_DIFFERENCE_RAD", -1.0)
    with pytest.raises(CheckpointError, match=r"static_tracking: over 2.5 s of noise, .* nothing was written"):
        export_onnx(narrow_model("static_tracking"), tmp_path / "out", signal=some_signal())
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_of_another_export_is_found(exported: Callable[[str], Path], tmp_path: Path) -> None:
    for file in exported("emgpose50").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    content = (tmp_path / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(content[:-100] + bytes(100))
    with pytest.raises(CheckpointError, match=r"its SHA-256 is not the one in contract\.json"):
        OnnxStream(tmp_path)
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(CheckpointError, match=r"model.onnx: cannot be read: No such file"):
        OnnxStream(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected a folder that `emgpose export` wrote"),
        ("{", "not valid JSON"),
        ("[]", 'expected "format": "emgpose onnx step" of version 1'),
        ('{"format": "emgpose onnx step", "format_version": 2}', "of version 1; export the model again"),
    ],
)
def test_a_folder_without_a_usable_contract_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "contract.json").write_text(content)
    with pytest.raises(CheckpointError, match=message):
        OnnxStream(tmp_path)


def test_a_missing_library_is_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(MissingExtraError, match=r'onnxscript, .* pip install "emgpose\[export\]"'):
        export_onnx(narrow_model("emgpose50"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be used as output folder"):
        export_onnx(narrow_model("static_tracking"), tmp_path / "file", signal=some_signal())


# --- streams and signals


def test_a_stream_refuses_what_has_another_shape(exported: Callable[[str], Path]) -> None:
    stream = OnnxStream(exported("emgpose50"))
    with pytest.raises(ShapeError, match=r"shape \(10, 8\), expected \(time, channel=16\)"):
        stream.push(np.zeros((10, 8)))
    with pytest.raises(ShapeError, match=r"initial pose has shape \(3,\), expected \(joint=20,\)"):
        stream.reset(np.zeros(3))
    numbers, frames = stream.push(np.zeros((0, 16)))
    assert (numbers.shape, frames.shape) == ((0,), (0, 20))


def test_a_stream_begins_anew_after_reset(exported: Callable[[str], Path]) -> None:
    stream = OnnxStream(exported("regression_vemg2pose"))
    emg = some_emg(4_000)[0].T.numpy()
    first = stream.push(emg)
    stream.push(emg[:777])
    stream.reset()
    again = stream.push(emg)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_the_simulated_signal_fits_any_number_of_channels() -> None:
    signal = simulated_signal(20, seconds=8.5)
    assert signal.emg.shape == (17_000, 20)
    np.testing.assert_array_equal(signal.emg[:, 16:], signal.emg[:, :4])
    assert np.isfinite(signal.truth).all(axis=1).mean() > 0.5
    assert signal.seconds == 8.5


def test_a_recording_can_be_compared_on(tmp_path: Path) -> None:
    generate_session(tmp_path / "a.hdf5", seconds=4.0)
    model = narrow_model("one convolution")
    signal = recorded_signal(tmp_path / "a.hdf5", model)
    report = export_onnx(model, tmp_path / "out", signal=signal)
    assert signal.emg.shape == (8_000, 16)
    assert contract_of(tmp_path / "out")["checked"]["emg"] == "a.hdf5"
    assert report.from_model.mae_rad is not None
    generate_session(tmp_path / "short.hdf5", seconds=0.5)
    long = narrow_model("emgpose50")
    with pytest.raises(DataError, match=r"short.hdf5: 1000 samples are too few .* first frame after 1471"):
        export_onnx(long, tmp_path / "out", signal=recorded_signal(tmp_path / "short.hdf5", long))


# --- the example


def test_the_example_without_arguments_says_how_it_is_used() -> None:
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("A hand from raw EMG without torch: `python onnx_hand.py FOLDER EMG.npy`")


@pytest.mark.parametrize("name", ["emgpose50", "regression_vemg2pose"])
def test_the_example_runs_without_torch_and_gives_the_models_poses(
    exported: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    model = narrow_model(name)
    raw = some_emg(6_000)[0].T.numpy() * 1e-5 + 2e-4
    np.save(tmp_path / "emg.npy", raw)
    without = "import sys, runpy; sys.modules.update(torch=None, emgpose=None, scipy=None); runpy.run_path(sys.argv[0])"
    arguments = (str(exported(name)), str(tmp_path / "emg.npy"))
    script = f"import sys; sys.argv = {[str(EXAMPLE), *arguments]!r}; {without}"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    lines = [line.split(" ", 1) for line in shown.stdout.splitlines()]
    angles = [json.loads(text) for number, text in lines if int(number) >= 0]
    assert all(text == "warming up" for number, text in lines if int(number) < 0)

    band = Preprocessor((Bandpass(),), 2000.0, 16).process(raw)
    expected = from_torch(model, band / band[:2_000].std(axis=0), None)
    assert len(EXAMPLE.read_text().splitlines()) <= 40
    assert len(angles) > 100
    np.testing.assert_allclose(angles, np.degrees(expected[: len(angles)]), atol=0.02)
