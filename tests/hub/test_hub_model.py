"""`HubModel`: to a folder and back, to a Hub and back, and what is refused on the way."""

import json
import logging
import pickle
import subprocess
import sys

import pytest
import torch

from emgpose.checkpoints import load_model
from emgpose.errors import CheckpointError, ConfigError, MissingExtraError
from emgpose.hub import HubModel, fetch_model
from emgpose.hub.extra import hub_errors
from fake_hub import TOKEN
from small_models import small_model

NAME = "tester/hand"


def same_weights(one, two):
    states = one.state_dict(), two.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][key], states[1][key]) for key in states[0]
    )


def test_a_folder_saved_for_the_hub_is_read_by_load_model_and_from_pretrained_without_network(tmp_path):
    model = small_model("emgpose50")
    assert HubModel(model).save_pretrained(tmp_path / "a" / "hand") is None
    assert {file.name for file in (tmp_path / "a" / "hand").iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }
    assert same_weights(load_model(tmp_path / "a" / "hand"), model)
    loaded = HubModel.from_pretrained(tmp_path / "a" / "hand").model
    assert same_weights(loaded, model)
    assert not loaded.training


def test_what_was_pushed_comes_back_the_same(hub):
    model = small_model("regression_vemg2pose")
    address = HubModel(model).push_to_hub(NAME, token=TOKEN, private=True)
    assert address.startswith(f"{hub.endpoint}/{NAME}/commit/")
    assert hub.repositories[NAME].is_private
    assert set(hub.files(NAME)) == {"config.json", "model.safetensors", "README.md"}
    assert same_weights(HubModel.from_pretrained(NAME, token=TOKEN).model, model)


def test_a_second_push_is_a_second_commit_and_a_revision_gives_the_first_back(hub):
    first, second = small_model("emgpose50"), small_model("regression_emg2pose")
    address = HubModel(first).push_to_hub(NAME, token=TOKEN)
    HubModel(second).push_to_hub(NAME, token=TOKEN, private=True)
    assert not hub.repositories[NAME].is_private
    assert HubModel.from_pretrained(NAME).model.name == "regression_emg2pose"
    assert HubModel.from_pretrained(NAME, revision=address.rsplit("/", 1)[1]).model.name == "emgpose50"


def test_save_pretrained_can_push_at_once(hub, tmp_path):
    address = HubModel(small_model()).save_pretrained(tmp_path / "mine", push_to_hub=True, repo_id=NAME, token=TOKEN)
    assert address.startswith(hub.endpoint)
    assert hub.files(NAME)["config.json"] == (tmp_path / "mine" / "config.json").read_bytes()


def test_the_cache_serves_a_second_time_and_without_a_hub(hub, model_files):
    hub.add(NAME, model_files)
    folder = fetch_model(NAME)
    assert {file.name for file in folder.iterdir()} == set(model_files)
    downloads = [request for request in hub.requests if request[0] == "GET"]
    assert fetch_model(NAME) == folder
    assert [request for request in hub.requests if request[0] == "GET"] == downloads
    n_requests = len(hub.requests)
    assert fetch_model(NAME, local_files_only=True) == folder
    assert HubModel.from_pretrained(NAME, local_files_only=True).model.name == "emgpose50"
    assert len(hub.requests) == n_requests


def test_local_files_only_without_a_copy_says_so_and_asks_nobody(hub, model_files):
    hub.add(NAME, model_files)
    with pytest.raises(CheckpointError, match="not in this machine's cache"):
        fetch_model(NAME, local_files_only=True)
    assert hub.requests == []


def test_nothing_but_the_model_s_own_files_is_ever_asked_for(hub, model_files):
    others = {
        "pytorch_model.bin": b"a pickle",
        "model.pkl": b"a pickle",
        "../evil.py": b"",
        "weights/more.safetensors": b"",
        "modeling.py": b"raise SystemExit",
    }
    hub.add(NAME, model_files | others)
    folder = fetch_model(NAME)
    assert hub.asked_for() == {"config.json", "model.safetensors", "README.md"}
    assert {file.name for file in folder.iterdir()} == set(model_files)


def test_a_card_is_not_needed(hub, model_files):
    del model_files["README.md"]
    hub.add(NAME, model_files)
    assert HubModel.from_pretrained(NAME).model.name == "emgpose50"


class Exploit:
    def __reduce__(self):
        return (exec, ("raise AssertionError('the pickle was run')",))


def test_a_repository_with_a_pickle_alone_is_refused_and_the_pickle_never_fetched(hub, model_files):
    hub.add(NAME, {"config.json": model_files["config.json"], "pytorch_model.bin": pickle.dumps(Exploit())})
    with pytest.raises(CheckpointError, match=r"it has no model.safetensors.*pickled weights.*not read"):
        fetch_model(NAME)
    assert "pytorch_model.bin" not in hub.asked_for()


def test_a_pickle_under_the_name_of_the_weights_is_not_run(hub, model_files):
    hub.add(NAME, model_files | {"model.safetensors": pickle.dumps(Exploit())})
    with pytest.raises(CheckpointError, match="SHA-256"):
        HubModel.from_pretrained(NAME)


def test_files_too_large_for_a_model_are_refused_before_they_are_downloaded(hub, model_files):
    hub.add(NAME, model_files | {"config.json": b" " * (2**20 + 1)})
    with pytest.raises(CheckpointError, match=r"config.json: refused: it has 1,048,577 bytes"):
        fetch_model(NAME)
    assert not any(method == "GET" for method, _ in hub.requests)
    hub.add(NAME, model_files)
    hub.length_shown["model.safetensors"] = 2**31
    with pytest.raises(CheckpointError, match=r"model.safetensors: refused: it has 2,147,483,648 bytes"):
        fetch_model(NAME)
    assert not any(method == "GET" for method, _ in hub.requests)


def test_a_folder_with_a_huge_configuration_is_refused_unread(model_files, tmp_path):
    for name, content in model_files.items():
        (tmp_path / name).write_bytes(content)
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(CheckpointError, match="refused"):
        HubModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("change", [{"model": "text"}, {"format": "other"}, {"extra": 1}])
def test_a_configuration_that_is_none_is_refused_as_load_model_does(hub, model_files, change):
    config = json.loads(model_files["config.json"]) | change
    hub.add(NAME, model_files | {"config.json": json.dumps(config).encode()})
    with pytest.raises((CheckpointError, ConfigError), match=r"config\.json"):
        HubModel.from_pretrained(NAME)


@pytest.mark.parametrize("commit", ["../../../../evil", "main", "0" * 39])
def test_a_hub_that_names_no_commit_is_refused(hub, model_files, commit, tmp_path):
    hub.add(NAME, model_files)
    hub.headers["X-Repo-Commit"] = commit
    with pytest.raises(CheckpointError):
        fetch_model(NAME)
    assert not list(tmp_path.rglob("evil*"))
    assert not list(tmp_path.rglob("model.safetensors"))


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b/c", "", "/tmp/none", "spaces in/it", "user/..", "--x/y"])
def test_what_cannot_be_a_name_on_the_hub_is_refused(hub, name):
    with pytest.raises((ConfigError, CheckpointError)):
        HubModel.from_pretrained(name)
    assert hub.requests == []


def test_an_unknown_model_a_private_one_and_an_unknown_revision_are_told_apart_from_faults(hub, model_files):
    hub.add(NAME, model_files, is_private=True)
    with pytest.raises(CheckpointError, match="no such model, or it is private"):
        fetch_model("tester/other")
    with pytest.raises(CheckpointError, match="no such model, or it is private"):
        fetch_model(NAME)
    with pytest.raises(CheckpointError, match="no such revision"):
        fetch_model(NAME, token=TOKEN, revision="nowhere")
    hub.add("tester/empty", {"README.md": b"text"})
    with pytest.raises(CheckpointError, match=r"no config\.json, so it is no emgpose model"):
        fetch_model("tester/empty")


def test_the_token_is_sent_but_neither_stored_nor_shown(hub, tmp_path, capfd):
    HubModel(small_model()).push_to_hub(NAME, token=TOKEN)
    HubModel.from_pretrained(NAME, token=TOKEN)
    hub.refuses_uploads = True
    with pytest.raises(CheckpointError) as refused:
        HubModel(small_model()).push_to_hub(NAME, token=TOKEN)
    assert hub.tokens == {TOKEN}
    assert TOKEN not in str(refused.value)
    assert "401" in str(refused.value) or "log in" in str(refused.value)
    said = capfd.readouterr()
    assert TOKEN not in said.out + said.err
    stored = [file for file in tmp_path.rglob("*") if file.is_file() and TOKEN.encode() in file.read_bytes()]
    assert stored == []


@pytest.mark.parametrize(
    ("status", "body"), [(400, b"no"), (200, b"<html>log in to the wifi</html>"), (200, b"{}")], ids=str
)
def test_what_answers_but_is_no_hub_is_one_line_without_the_token(hub, status, body, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.broken = (status, body)
    for attempt in (fetch_model, HubModel(small_model()).push_to_hub):
        with pytest.raises(CheckpointError) as refused:
            attempt(NAME)
        assert str(refused.value).startswith(f"{NAME}: ")
        assert "\n" not in str(refused.value)
        assert TOKEN not in str(refused.value)


def test_a_token_that_cannot_be_sent_is_not_shown_and_warnings_are_silent_meanwhile(caplog):
    token = "\x1b[200~hf_secret"

    def tries_again():
        logging.getLogger("huggingface_hub.utils").warning("Retrying in 1s")
        raise ValueError(f"illegal header {f'Bearer {token}'.encode()!r}")

    with pytest.raises(CheckpointError) as refused, hub_errors(NAME, token):
        tries_again()
    assert str(refused.value).endswith("illegal header b'Bearer (token)'")
    assert caplog.text == ""
    logging.getLogger("huggingface_hub.utils").warning("as before")
    assert "as before" in caplog.text


def test_uploading_without_a_token_is_refused_in_one_line(hub):
    with pytest.raises(CheckpointError) as refused:
        HubModel(small_model()).push_to_hub(NAME, token=False)
    assert "\n" not in str(refused.value)
    assert NAME not in hub.repositories


def test_a_failed_save_leaves_the_model_that_was_there(folder, tmp_path, monkeypatch):
    HubModel(load_model(folder)).save_pretrained(tmp_path / "hand")
    before = {file.name: file.read_bytes() for file in (tmp_path / "hand").iterdir()}

    def full_disk(*arguments):
        raise CheckpointError("no space")

    monkeypatch.setattr("emgpose.hub.hub_model.save_model", full_disk)
    with pytest.raises(CheckpointError, match="no space"):
        HubModel(small_model("regression_emg2pose")).save_pretrained(tmp_path / "hand")
    assert {file.name: file.read_bytes() for file in (tmp_path / "hand").iterdir()} == before


def test_settings_that_a_model_brings_itself_are_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="hidden_size"):
        HubModel.from_pretrained(folder, hidden_size=3)
    with pytest.raises(ConfigError, match="config and model_card_kwargs"):
        HubModel(load_model(folder)).save_pretrained(tmp_path, config={"a": 1})


def test_it_is_the_mixin_that_users_of_the_hub_know():
    from huggingface_hub import ModelHubMixin

    assert issubclass(HubModel, ModelHubMixin)


def test_without_the_extra_the_message_names_it(monkeypatch):
    import emgpose.hub

    monkeypatch.setattr("emgpose.hub.extra.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"emgpose\[hub\]"):
        fetch_model(NAME)
    with pytest.raises(MissingExtraError, match=r"emgpose\[hub\]"):
        emgpose.hub.__getattr__("HubModel")
    with pytest.raises(AttributeError, match="it offers HubModel"):
        emgpose.hub.__getattr__("HubModle")


@pytest.mark.slow
def test_importing_the_package_does_not_import_the_extra():
    check = "import sys, emgpose.hub; assert 'huggingface_hub' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True)
