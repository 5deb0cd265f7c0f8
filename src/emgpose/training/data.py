"""The data of a training run: which recordings and windows there are, and batches of them for every process and epoch.

Lightning takes `PoseData` as its data module; without Lightning it works the same.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from emgpose.config import AugmentConfig, DataConfig
from emgpose.errors import ConfigError, DataError
from emgpose.evaluation.static_hand import train_median
from emgpose.models import EmgModel
from emgpose.recording import read_metadata, session_path
from emgpose.timing import EMG_RATE_HZ
from emgpose.training.augmentation import augment_emg, check_rotation
from emgpose.training.batch_reader import BatchReader
from emgpose.training.batches import TrainBatches, ValBatches
from emgpose.training.recordings import GIB, ModelNeeds, Progress, Recordings, emg_is_known_finite, require_finite_emg
from emgpose.training.stored import StoredRecordings, store_at
from emgpose.training.streams import check_seed
from emgpose.training.subsets import choose_training_rows, choose_validation_rows, describe_rows
from emgpose.windows import WindowDataset

Part = Literal["train", "val"]


@dataclass(frozen=True)
class WindowReader:
    """Reads one window as the model is to see it; a worker has a copy.

    Parameters
    ----------
    windows : WindowDataset
    augment : AugmentConfig, optional
        For training windows.
    """

    windows: WindowDataset
    augment: AugmentConfig | None = None

    def expect(self, window: int, epoch: int) -> None:
        """Have the disk read a window meanwhile, where that can be done.

        Raises
        ------
        DataError : its recording cannot be opened.
        """
        self.windows.expect(window, epoch)

    def __call__(self, window: int, epoch: int, room: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Read a window of an epoch into the room for it, or beside it where it is changed; see `WindowDataset.read`.

        Raises
        ------
        DataError : the recording cannot be read, or its EMG is not finite there.
        """
        tensors = self.windows.read(window, epoch, room)
        index = self.windows.index
        session = self.windows.session(int(index.session[window]))
        if not emg_is_known_finite(session):
            require_finite_emg(session, tensors["emg"].numpy(), int(tensors["start"]))
        if self.augment is not None:
            # Asked only where it is needed: opening a recording of a store for one window need not read what it is.
            rate_hz = session.sample_rate_hz if self.augment.aggressor_probability else EMG_RATE_HZ
            emg = augment_emg(tensors["emg"], self.windows.seed, epoch, window, self.augment, rate_hz=rate_hz)
            tensors = tensors | {"emg": emg}
        return tensors


class PoseData(pl.LightningDataModule):
    """Training and validation windows of a data set, for one model.

    A batch is a dict of CPU tensors: emg (window, channel, time), joint_angles (window, joint=20, time) [rad],
    valid (window, time), window (window,) and start (window,), its first sample in the recording with jitter. Batches
    are global: rank r of w holds windows r, r + w, ... of each. A rank left without a window gets one of padding, whose
    `window` and `start` are -1 and whose samples are all invalid.

    Parameters
    ----------
    data : DataConfig
    augment : AugmentConfig
        For training windows.
    model : pose model
        Says the channels, rate, preprocessing and lengths of windows; nothing of it is kept.
    seed : int
        Decides subsets, order, jitter and augmentation.
    pin_memory : bool
        Give batches in page-locked memory, for a GPU.
    on_progress : callable (done, total), optional
        Called while the recordings are read.

    Attributes
    ----------
    n_train_windows, n_val_windows : int
        Without validation windows, training goes on without validation.
    n_train_batches : int
        Global batches of an epoch.
    subset : dict
        users, stages, files, hours of the training recordings, windows, and `val` with the same of validation; JSON.
    fingerprint, val_fingerprint : str
        Of the recordings of each; empty where there are none.
    trained_on : "simulated" or "recorded"
        "simulated" if every training recording is.
    in_memory : bool
        Whether the recordings are kept in memory.
    preparations : dict
        What was done to the EMG: to how many recordings.

    The attributes are there after `setup`.

    Raises
    ------
    ConfigError : a window that the model cannot take, a rotation beyond the band, a seed that is none.
    """

    def __init__(
        self,
        data: DataConfig,
        augment: AugmentConfig,
        model: EmgModel,
        *,
        seed: int,
        pin_memory: bool = False,
        on_progress: Progress | None = None,
    ) -> None:
        super().__init__()
        check_seed(seed)
        check_rotation(augment, model.n_channels)
        self._window = _window_samples("data.window_samples", data.window_samples, model)
        self._val_window = _window_samples("data.val_window_samples", data.val_window_samples, model)
        self._config, self._augment, self._seed = data, augment, seed
        self._needs = ModelNeeds.of(model)
        self._pin_memory, self._on_progress = pin_memory, on_progress
        self._readers: dict[Part, BatchReader] = {}
        self._train_batches: TrainBatches | None = None
        self._recordings: Recordings | StoredRecordings | None = None

    def setup(self, stage: str | None = None) -> None:
        """Choose and read the recordings; a second call does nothing.

        Raises
        ------
        SplitError : the table has less than what is asked for.
        ConfigError : the configuration contradicts the table.
        DataError : a recording cannot be trained on, or not one training window is left.
        """
        if self._recordings is not None:
            return
        config, root = self._config, Path(self._config.root)
        table = read_metadata(root)
        rows, self.subset = choose_training_rows(
            table,
            seed=self._seed,
            num_users=config.num_users,
            num_stages=config.num_stages,
            hours=config.hours,
            where=config.where,
        )
        val_rows = choose_validation_rows(table, config.where)
        self._rows = rows
        recordings, train, val = self._take_in(root, rows, val_rows)
        self._windows = self._cut(recordings, train, val)
        self.n_train_windows, self.n_val_windows = len(self._windows["train"]), len(self._windows["val"])
        _require_windows(self.n_train_windows, len(train), self._window, config)
        self.n_train_batches = -(-self.n_train_windows // config.batch_size)
        self.subset["windows"] = self.n_train_windows
        self.subset["val"] = describe_rows(val_rows) | {"windows": self.n_val_windows}
        self.fingerprint = recordings.fingerprint(train)
        self.val_fingerprint = recordings.fingerprint(val) if val else ""
        self.trained_on = "simulated" if recordings.all_simulated(train) else "recorded"
        self.in_memory = recordings.in_memory
        self.preparations = recordings.preparations()
        self._recordings = recordings

    def _take_in(self, root: Path, rows: pd.DataFrame, val_rows: pd.DataFrame) -> tuple[Any, Any, Any]:
        """Give the recordings, and those of them to train and to validate on."""
        store = store_at(root)
        if store is not None:
            names = [*rows["filename"], *val_rows["filename"]]
            stored = StoredRecordings(store, names, self._needs)
            if not stored.must_be_prepared:
                return stored, stored.paths(names[: len(rows)]), stored.paths(names[len(rows) :])
        train, val = _paths(root, rows), _paths(root, val_rows)
        memory_bytes = self._config.in_memory_gib * GIB
        return Recordings([*train, *val], self._needs, memory_bytes, self._on_progress), train, val

    def _cut(self, recordings: Any, train: Any, val: Any) -> dict[Part, WindowDataset]:
        config = self._config
        train_index = recordings.index(train, self._window, config.stride_samples, config.skip_invalid)
        # Validation windows are those of the test protocol, whatever training takes.
        val_index = recordings.index(val, self._val_window, None, True)
        return {
            "train": WindowDataset(train_index, open_path=recordings.open, jitter=config.jitter, seed=self._seed),
            "val": WindowDataset(val_index, open_path=recordings.open),
        }

    @cached_property
    def median_pose(self) -> tuple[float, ...] | None:
        """Per-joint median [rad] over valid samples of the training recordings that can be read; None without any."""
        self.setup()
        pose, _ = train_median(Path(self._config.root), self._rows)
        return None if pose is None else tuple(float(angle) for angle in pose)

    def train_dataloader(self) -> TrainBatches:
        """Give the training batches of this process: always the same object, which knows its position."""
        self.setup()
        if self._train_batches is None:
            rank, world_size = self._place()
            reader = self._reader("train", self._augment, keep_workers=True)
            sizes = self.n_train_windows, self._config.batch_size, self._seed
            self._train_batches = TrainBatches(reader, *sizes, rank, world_size, groups=self._groups())
        return self._train_batches

    def val_dataloader(self) -> ValBatches | list[Any]:
        """Give the validation batches of this process; an empty list where there is no validation window."""
        self.setup()
        if not self.n_val_windows:
            return []
        return ValBatches(self._reader("val"), self.n_val_windows, self._config.batch_size, *self._place())

    def _reader(self, part: Part, augment: AugmentConfig | None = None, keep_workers: bool = False) -> BatchReader:
        if part not in self._readers:
            self._readers[part] = BatchReader(
                WindowReader(self._windows[part], augment),
                self._windows[part].layout(self._needs.n_channels),
                # The largest share of a batch that a process has.
                -(-self._config.batch_size // self._place()[1]),
                workers=self._config.workers,
                pin_memory=self._pin_memory,
                keep_workers=keep_workers,
            )
        return self._readers[part]

    def _groups(self) -> NDArray[np.int64] | None:
        """Give the user or stage of each training window as a number, where windows are drawn by that."""
        if self._config.sampling == "uniform":
            return None
        of_recording = np.unique(self._rows[self._config.sampling].to_numpy(dtype=str), return_inverse=True)[1]
        return np.asarray(of_recording[self._windows["train"].index.session], dtype=np.int64)

    def _place(self) -> tuple[int, int]:
        """Rank of this process and number of processes."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def describe(self, part: Part, window: int, start: int) -> str:
        """Say where a window of a batch lies: file and samples."""
        index = self._windows[part].index
        return f"{index.paths[int(index.session[window])]}, samples [{start}, {start + index.window})"

    def teardown(self, stage: str | None = None) -> None:
        """End the workers and close the files; the next loader starts anew."""
        while self._readers:
            self._readers.popitem()[1].close()
        self._train_batches = None
        if self._recordings is not None:
            self._recordings.close()


def _window_samples(key: str, given: int | None, model: EmgModel) -> int:
    window = model.test_window if given is None else given
    if window < model.min_samples:
        raise ConfigError(
            f"{key}={window}: {model.name} needs windows of at least {model.min_samples} samples, its left context of "
            f"{model.left_context} included"
        )
    return window


def _paths(root: Path, rows: pd.DataFrame) -> dict[Path, str]:
    """Give the path of each row, with the name that fingerprints use for it."""
    return {session_path(root, row): str(row["filename"]) for row in rows.to_dict("records")}


def _require_windows(n_windows: int, n_recordings: int, window: int, config: DataConfig) -> None:
    if n_windows:
        return
    wanted = "a run of valid labels" if config.skip_invalid else "samples"
    advice = "; give a smaller data.window_samples" + (", or data.skip_invalid=false" if config.skip_invalid else "")
    raise DataError(
        f"{config.root}: none of the {n_recordings} training recordings chosen has {wanted} as long as a window of "
        f"{window} samples{advice}"
    )
