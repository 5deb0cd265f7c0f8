"""The ZIP: what is in it, the same bytes every time, and nothing lost on the way."""

import ast
import dataclasses
import hashlib
import re
import subprocess
import sys
import zipfile
from importlib.metadata import requires

import pytest

from emgpose.challenge.packing import pack_challenge
from emgpose.challenge.sources import PACKAGE, licence_text, needed_sources
from emgpose.errors import ConfigError, DataError
from emgpose.preprocessing import EMG2POSE_PREPROCESSING, Notch, Preprocessing
from exported_models import narrow_model


@pytest.fixture
def model():
    return narrow_model("emgpose50")


def test_the_same_model_gives_the_same_bytes(model, tmp_path):
    digests = set()
    for name in ("a.zip", "b.zip"):
        pack = pack_challenge(model, tmp_path / name)
        digests.add(hashlib.sha256(pack.path.read_bytes()).hexdigest())
        assert pack.n_bytes == pack.path.stat().st_size
    assert len(digests) == 1


def test_the_zip_holds_submission_weights_sources_and_licence_and_no_more(model, tmp_path):
    pack = pack_challenge(model, tmp_path / "s.zip", name="my hand", start="zeros")
    with zipfile.ZipFile(pack.path) as archive:
        names = archive.namelist()
        submission = archive.read("submission.py").decode()
        assert archive.read("sources/LICENSE") == licence_text()
        assert all(
            archive.read(name) == (PACKAGE.parent / name.removeprefix("sources/")).read_bytes()
            for name in names
            if name.startswith("sources/emgpose/")
        )
    assert names == sorted(names)
    assert {name for name in names if not name.startswith("sources/")} == {
        *("submission.py", "weights/config.json", "weights/model.safetensors", "weights/README.md")
    }
    assert sum(name.startswith("sources/emgpose/") for name in names) == pack.n_source_files
    assert not any(part in name for name in names for part in ("/cli/", "/training/", "/recording/", "/live/"))
    (solver,) = [node for node in ast.parse(submission).body if isinstance(node, ast.ClassDef)]
    assert (solver.name, solver.bases[0].id) == ("Solver", "CompetSolver")
    assert "name = 'my hand'" in submission
    assert "start='zeros'" in submission


def test_the_versions_that_a_submission_names_are_those_that_emgpose_needs(model, tmp_path):
    with zipfile.ZipFile(pack_challenge(model, tmp_path / "s.zip").path) as archive:
        submission = archive.read("submission.py").decode()
    needed = dict(re.findall(r"(torch|numpy|scipy|safetensors)>=([\d.]+)$", "\n".join(requires("emgpose")), re.M))
    assert len(needed) == 4
    for name, version in needed.items():
        assert f"{name} {version}" in submission


@pytest.mark.slow
def test_the_modules_packed_are_all_that_a_process_without_emgpose_imports(tmp_path):
    sources = needed_sources("emgpose.challenge.predictor")
    for name, content in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    script = (
        f"import sys; sys.path = [{str(tmp_path)!r}, *(p for p in sys.path if p != {str(PACKAGE.parent)!r})]\n"
        "import emgpose.challenge.predictor\n"
        "for name, module in list(sys.modules.items()):\n"
        f"    assert not name.startswith('emgpose') or module.__file__.startswith({str(tmp_path)!r}), name\n"
    )
    subprocess.run([sys.executable, "-I", "-c", script], check=True)


def test_a_zip_that_is_there_stays_without_force(model, tmp_path):
    out = tmp_path / "s.zip"
    out.write_bytes(b"mine")
    with pytest.raises(ConfigError, match="exists already"):
        pack_challenge(model, out)
    assert out.read_bytes() == b"mine"
    pack_challenge(model, out, force=True)
    assert zipfile.is_zipfile(out)
    with pytest.raises(DataError, match="is a folder"):
        pack_challenge(model, tmp_path, force=True)
    with pytest.raises(DataError, match="cannot write there"):
        pack_challenge(model, tmp_path / "none" / "s.zip")


def test_a_rehearsal_that_fails_leaves_no_zip_and_the_one_before(model, tmp_path):
    def fails(path):
        assert zipfile.is_zipfile(path)
        raise DataError("it failed")

    (tmp_path / "old.zip").write_bytes(b"mine")
    for name in ("new.zip", "old.zip"):
        with pytest.raises(DataError, match="it failed"):
            pack_challenge(model, tmp_path / name, force=True, check=fails)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("old.zip", b"mine")]


@pytest.mark.parametrize("name", ["", "../up", 'a"b', "a\nb", "x" * 65, "{}"])
def test_a_name_that_could_be_code_is_refused(model, tmp_path, name):
    with pytest.raises(ConfigError, match="--name"):
        pack_challenge(model, tmp_path / "s.zip", name=name)


def test_a_model_for_other_emg_is_refused_and_doubts_are_told(model, tmp_path):
    assert "untrained" in " ".join(pack_challenge(model, tmp_path / "s.zip").notes)
    assert "states no licence" in " ".join(pack_challenge(model, tmp_path / "s.zip", force=True).notes)
    bare = narrow_model("emgpose50")
    bare.card = dataclasses.replace(bare.card, preprocessing=Preprocessing(EMG2POSE_PREPROCESSING.steps[:1]))
    notes = " ".join(pack_challenge(bare, tmp_path / "s.zip", force=True).notes)
    assert "the EMG of the challenge has had a step that the model's has not: band-pass" in notes
    steps = Preprocessing((*EMG2POSE_PREPROCESSING.steps, Notch(50.0)))
    model.card = dataclasses.replace(model.card, preprocessing=steps)
    with pytest.raises(ConfigError, match="a step that the challenge's EMG has not had"):
        pack_challenge(model, tmp_path / "t.zip")
    with pytest.raises(ConfigError, match="runs tracking only"):
        pack_challenge(narrow_model("tracking_emg2pose"), tmp_path / "t.zip")
    assert not (tmp_path / "t.zip").exists()
