"""Reading and writing model files, good and bad."""

import json
import os
import pickle
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from emgpose.checkpoints import checkpoint_fingerprint, load_model, save_model
from emgpose.checkpoints.published_file import _allowed
from emgpose.errors import CheckpointError, ConfigError, EmgPoseError
from emgpose.models import MODELS, EmgModel, PoseModel, build_model
from golden_weights import golden_state_dict, published_hyper_parameters, write_published_checkpoint

TINY = {"channels": 4, "tds_channels": 2, "n_features": 2, "layer_sizes": (3,)}


def tiny() -> EmgModel:
    return build_model("tracking_emg2pose", **TINY)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published_checkpoint(tmp_path_factory.mktemp("published") / "model.ckpt", "tracking_emg2pose")


# --- published checkpoints


def test_a_published_checkpoint_says_what_it_is(published: Path) -> None:
    model = load_model(published)
    assert model.config == MODELS["tracking_emg2pose"]
    assert (model.card.trained_on, model.card.experiment) == ("recorded", "tracking_emg2pose")
    assert "NC" in model.card.licence
    assert not model.training


def test_loading_leaves_torchs_own_allow_list_as_it_was(published: Path) -> None:
    # Some of it is on our list too, as after other libraries have loaded their own checkpoints.
    with torch.serialization.safe_globals([defaultdict, Path]):
        load_model(published)
        assert {defaultdict, Path} <= set(torch.serialization.get_safe_globals())


def test_what_other_code_allowed_torch_to_load_is_refused(tmp_path: Path) -> None:
    path = write_published_checkpoint(
        tmp_path / "model.ckpt", "tracking_emg2pose", callbacks={"x": _RunsCode(tmp_path / "ran")}
    )
    with torch.serialization.safe_globals([os.mkdir]), pytest.raises(CheckpointError, match=r"asks for 'posix\.mkdir'"):
        load_model(path)
    assert not (tmp_path / "ran").exists()


def test_the_allow_list_holds_what_the_specification_names_and_nothing_else() -> None:
    assert {f"{item.__module__}.{item.__name__}" for item in _allowed()} == {
        "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.nodes.AnyNode",
        "omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata", "typing.Any",
        "collections.defaultdict", "collections.OrderedDict", "builtins.dict", "builtins.list", "builtins.int",
    }  # fmt: skip


def test_where_two_experiments_fit_the_error_names_both_and_the_choice_decides(tmp_path: Path) -> None:
    hyper = published_hyper_parameters("tracking_emg2pose")
    del hyper["provide_initial_pos"]
    path = write_published_checkpoint(tmp_path / "model.ckpt", "tracking_emg2pose", hyper_parameters=hyper)
    with pytest.raises(CheckpointError, match=r"tracking_emg2pose and regression_emg2pose.*--experiment"):
        load_model(path)
    for experiment in ("tracking_emg2pose", "regression_emg2pose"):
        assert load_model(path, experiment).name == experiment


def test_a_choice_that_contradicts_the_checkpoint_is_refused(published: Path) -> None:
    with pytest.raises(CheckpointError, match=r"it is not regression_emg2pose.*fits tracking_emg2pose"):
        load_model(published, "regression_emg2pose")
    with pytest.raises(CheckpointError, match="it is not tracking_vemg2pose"):
        load_model(published, "tracking_vemg2pose")
    with pytest.raises(CheckpointError, match="did you mean 'tracking_emg2pose'"):
        load_model(published, "trackin_emg2pose")


def test_hyper_parameters_that_contradict_the_tensors_are_refused(tmp_path: Path) -> None:
    hyper = published_hyper_parameters("regression_vemg2pose")
    path = write_published_checkpoint(tmp_path / "model.ckpt", "tracking_emg2pose", hyper_parameters=hyper)
    with pytest.raises(CheckpointError, match="none of the published experiments"):
        load_model(path)


def test_numbers_in_the_hyper_parameters_are_used(tmp_path: Path) -> None:
    hyper = published_hyper_parameters("tracking_emg2pose")
    hyper["network_conf"] = OmegaConf.merge(hyper["network_conf"], {"decoder": {"scale": 0.1}})
    model = load_model(write_published_checkpoint(tmp_path / "a.ckpt", "tracking_emg2pose", hyper_parameters=hyper))
    assert isinstance(model, PoseModel)
    assert model.config.decoder.scale == 0.1


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), 10**400])
def test_an_output_scalar_that_is_not_finite_is_refused(scale: float, tmp_path: Path) -> None:
    hyper = published_hyper_parameters("tracking_emg2pose") | {
        "network_conf": {"decoder": {"_target_": "MLP", "scale": scale}}
    }
    path = write_published_checkpoint(tmp_path / "a.ckpt", "tracking_emg2pose", hyper_parameters=hyper)
    with pytest.raises(CheckpointError, match="must be finite"):
        load_model(path)


def test_hyper_parameters_that_hold_themselves_many_times_over_do_not_keep_the_loader_busy(tmp_path: Path) -> None:
    nested: dict[str, Any] = {}
    for _ in range(60):
        nested = {"left": nested, "right": nested}
    hyper = published_hyper_parameters("tracking_emg2pose") | {"callbacks": nested}
    path = write_published_checkpoint(tmp_path / "a.ckpt", "tracking_emg2pose", hyper_parameters=hyper)
    with pytest.raises(CheckpointError, match="more than 10000 values"):
        load_model(path)


def test_an_archive_that_unpacks_to_more_than_it_holds_is_refused(published: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(published) as whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for entry in whole.infolist():
            is_pickle = entry.filename.endswith("data.pkl")
            bomb.writestr(entry.filename, whole.read(entry) + bytes(20 * 2**20 if is_pickle else 0))
    with pytest.raises(CheckpointError, match="it would unpack to"):
        load_model(path)


class _RunsCode:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("place", ["hyper_parameters", "callbacks", "state_dict"])
def test_a_pickle_that_would_run_code_is_refused_in_one_line_and_does_not(place: str, tmp_path: Path) -> None:
    changes = {place: {"x": _RunsCode(tmp_path / "ran")}}
    path = write_published_checkpoint(tmp_path / "model.ckpt", "tracking_emg2pose", **changes)
    with pytest.raises(CheckpointError, match=r"refused: its pickle asks for 'posix\.mkdir'") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    # The file is as dangerous as it looks.
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists()


def test_a_bare_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps({"state_dict": {}, "x": _RunsCode(tmp_path / "ran")}, protocol))
        with pytest.raises(CheckpointError, match="nothing in it was run"):
            load_model(path)
    assert not (tmp_path / "ran").exists()


def test_classes_of_torch_that_are_not_tensors_are_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.ckpt")
    with pytest.raises(CheckpointError, match=r"asks for 'torch\.nn\.modules\.linear\.Linear'"):
        load_model(tmp_path / "model.ckpt")


def test_a_file_that_is_no_checkpoint_is_one_clear_line(published: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    whole = published.read_bytes()
    for content in (b"", b"junk", os.urandom(2_000), whole[: len(whole) // 2], whole[:100], b"PK\x03\x04" + bytes(50)):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="not a") as caught:
            load_model(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match="no such file"):
        load_model(tmp_path / "absent.ckpt")


def _changed(**tensors: Any) -> dict[str, Any]:
    state = golden_state_dict("tracking_emg2pose") | {name.replace("__", "."): value for name, value in tensors.items()}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


_BIAS = "model__network__layers__1__norm__bias"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (lambda: _changed(**{_BIAS: None}), "missing model.network.layers.1.norm.bias"),
        (lambda: _changed(more=torch.zeros(2)), "unknown more"),
        (lambda: _changed(**{_BIAS: torch.zeros(3)}), r"layers.1.norm.bias has shape \(3,\), expected \(256,\)"),
        (lambda: _changed(**{_BIAS: torch.full((256,), torch.nan)}), "layers.1.norm.bias holds NaN or infinite"),
        (lambda: _changed(**{_BIAS: torch.full((256,), 1e300, dtype=torch.float64)}), "holds NaN or infinite"),
        (lambda: OmegaConf.create({"a": "${oc.env:HOME}"}), "not a mapping of names to tensors"),
        (lambda: _changed(**{_BIAS: torch.zeros(256, dtype=torch.int64)}), "layers.1.norm.bias has type torch.int64"),
        (lambda: _changed(**{_BIAS: torch.zeros(256, dtype=torch.complex64)}), "has type torch.complex64"),
        (lambda: _changed(**{_BIAS: torch.zeros(256).to_sparse()}), "is not a plain array"),
        (lambda: _changed(**{_BIAS: "text"}), "holds str under"),
        (lambda: _changed(**{_BIAS: torch.zeros(1).expand(256)}), "is not a plain array"),
        (lambda: {"model.decoder.lstm.weight_ih_l0": torch.tensor(1.0)}, "none of the published|featurizer tensors"),
        (lambda: {"model.decoder.mlp.0.weight": torch.zeros(512, 84)}, "featurizer tensors"),
        (lambda: {"weight": torch.zeros(2)}, "does not hold a published"),
        (dict, "not a mapping of names to tensors"),
        (lambda: [1], "not a mapping of names to tensors"),
    ],
)
def test_wrong_tensors_are_refused_by_name(state: Any, message: str, tmp_path: Path) -> None:
    path = write_published_checkpoint(tmp_path / "model.ckpt", "tracking_emg2pose", state_dict=state())
    with pytest.raises(CheckpointError, match=message):
        load_model(path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1), junk=st.binary(min_size=1, max_size=40))
@example(position=0.396484375, junk=b"\n")  # a line break in the name of a tensor
def test_a_mutated_checkpoint_gives_no_other_error(
    position: float, junk: bytes, published: Path, tmp_path: Path
) -> None:
    content = bytearray(published.read_bytes())
    # The pickle stands at the front; the rest are numbers, of which any are possible.
    start = int(position * 20_000)
    content[start : start + len(junk)] = junk
    path = tmp_path / "model.ckpt"
    path.write_bytes(content)
    try:
        load_model(path)
    except EmgPoseError as error:
        message = str(error)
    else:
        message = ""
    assert "\n" not in message


# --- our folder


def test_a_saved_folder_holds_three_files_and_no_temporary_one(tmp_path: Path) -> None:
    folder = save_model(tiny(), tmp_path / "new" / "model")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert "untrained" in (folder / "README.md").read_text()
    save_model(tiny(), folder)
    assert len(list(folder.iterdir())) == 3
    assert load_model(folder).name == "tracking_emg2pose"


def test_a_failed_save_leaves_the_model_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_model(tiny(), tmp_path / "model")
    before = checkpoint_fingerprint(folder)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        save_model(tiny(), folder)
    assert checkpoint_fingerprint(folder) == before
    assert len(list(folder.iterdir())) == 3


def test_saving_onto_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("mine")
    with pytest.raises(CheckpointError, match="cannot save"):
        save_model(tiny(), tmp_path / "model")


def test_damaged_weights_are_found(tmp_path: Path) -> None:
    folder = save_model(tiny(), tmp_path / "model")
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    with pytest.raises(CheckpointError, match="SHA-256"):
        load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_model(folder)


def _edited(folder: Path, *keys: str, value: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    inner = config
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("modle",), {}, "unknown key 'modle'; did you mean 'model'"),
        (("model", "featurizer", "chanels"), 4, "unknown setting 'chanels'; did you mean 'channels'"),
        (("model", "featurizer", "kind"), "tsd", "did you mean 'tds'"),
        (("model", "decoder", "scale"), "big", "expected float, got 'big'"),
        (("model", "decoder", "scale"), float("nan"), "expected a finite number, got nan"),
        (("model", "decoder", "scale"), 10**400, "expected a finite number, got inf"),
        (("model", "decoder", "layer_sizes"), [3] * 100_000, "at most 64 values, got 100000"),
        (("model", "kind"), ["pose"], "unknown kind"),
        (("model", "featurizer", "tds_pairs"), 10**9, "from 1 to 64"),
        (("card", "trained_on"), "simulation", "did you mean 'simulated'"),
        (("card", "median_pose"), [0.0], "expected 20 finite angles"),
        (("card", "preprocessing"), [{"step": "notsh"}], "notch"),
    ],
)
def test_a_wrong_setting_is_refused_and_the_nearest_named(
    keys: tuple[str, ...], value: Any, message: str, tmp_path: Path
) -> None:
    folder = save_model(tiny(), tmp_path / "model")
    _edited(folder, *keys, value=value)
    with pytest.raises(ConfigError, match=message):
        load_model(folder)


def test_sizes_that_do_not_fit_the_weights_name_the_tensor(tmp_path: Path) -> None:
    folder = save_model(tiny(), tmp_path / "model")
    _edited(folder, "model", "featurizer", "n_features", value=3)
    with pytest.raises(CheckpointError, match="has shape"):
        load_model(folder)


def test_sizes_beyond_any_machine_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    folder = save_model(tiny(), tmp_path / "model")
    for size, message in ((2**60, "cannot be built"), (400_000, "has shape")):
        _edited(folder, "model", "featurizer", "channels", value=size)
        with pytest.raises(CheckpointError, match=message):
            load_model(folder)


def test_a_folder_without_a_model_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config.json: cannot be read.*model.safetensors"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="not an emgpose model"):
        load_model(tmp_path)
    with pytest.raises(CheckpointError, match="give the folder"):
        load_model(tmp_path / "config.json")


def test_a_folder_of_another_experiment_is_refused(tmp_path: Path) -> None:
    folder = save_model(tiny(), tmp_path / "model")
    with pytest.raises(CheckpointError, match="this model is tracking_emg2pose, not emgpose50"):
        load_model(folder, "emgpose50")


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    model = tiny()
    one, two = save_model(model, tmp_path / "one"), save_model(model, tmp_path / "two")
    assert checkpoint_fingerprint(one) == checkpoint_fingerprint(two)
    assert checkpoint_fingerprint(save_model(tiny(), tmp_path / "three")) != checkpoint_fingerprint(one)
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint_fingerprint(tmp_path / "absent")
