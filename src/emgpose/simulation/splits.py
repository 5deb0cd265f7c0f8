"""Which user does which stage, how often, with which placement of the band, and in which split each recording lies.

The logic is the published one: stages and users are held out before anything else, and recordings follow from that.

| | stages trained on | stages held out |
|---|---|---|
| train users | train; the last repeat is test `seen` | test `stage` |
| val users | val `user` | val `user_stage` |
| test users | test `user` | test `user_stage` |

Source: emg2pose data set (Salter et al. 2024): 158, 15 and 20 users, 23 and 6 stages. The condition `seen` and the
choice of held-out stages are our own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from emgpose.errors import ConfigError
from emgpose.hand import SIDES

# In the order in which smaller data sets take them, so that a larger one holds what a smaller one has.
TRAIN_STAGES: Final = (
    "FingerWigglingSpreading",
    "CountingUpDownFaceSideAway",
    "IndexPinchesMiddlePinchesThumbswipes",
    "DoorknobFingerGraspFistGrab",
    "OneHandedFreeStyle",
    "FingerAbductionSeries",
    "ThumbsUpDownThumbRotationsCWCCWP",
    "WristFlexionAbduction",
    "PokePinchCloseFar",
    "HandClawGraspFlicks",
    "CoffeePanicPete",
    "ThumbsSwipesWholeHand",
    "FingerFreeform",
    "FingerPinchesSingleFingerPinchesMultiple",
    "CountingUpDownFingerWigglingSpreading",
    "FastPongFronthandBackhandThrowing",
    "HandDeskSeparateClaspedChest",
    "TwoHandedFreeStyle",
    "AllFingerPinchesThumbSwipeThumbRotate",
    "PokeDrawPinchRotateclosefar",
    "HandOverHandCountingUpDownFingerWigglingSpreading",
    "HandOverHandAllFingerPinchesThumbSwipeThumbRotate",
    "unconstrained",
)
HELD_OUT_STAGES: Final = (
    "IndividualFingerPointingSnap",
    "ShakaVulcanPeace",
    "GraspPunchCloseFar",
    "PlayBlocksChess",
    "FingerTouchPalmClapmrburns",
    "HookEmHornsOKScissors",
)
N_STAGES: Final = len(TRAIN_STAGES) + len(HELD_OUT_STAGES)
_PUBLISHED_USERS: Final = {"train": 158, "val": 15, "test": 20}
MIN_USERS: Final = 3
MIN_STAGES: Final = 2
MIN_REPEATS: Final = 2
# 40 times the published data set.
MAX_RECORDINGS: Final = 1_000_000


@dataclass(frozen=True)
class PlannedRecording:
    """One recording to be made: who, what, which hand, and where it lies in the splits.

    Parameters
    ----------
    number : int
        Position in the data set.
    user : str
    user_number, placement, repeat : int
        Counted from 0.
    stage, side : str
    held_out_user, held_out_stage : bool
    split : `train`, `val` or `test`
    generalization : `user`, `stage`, `user_stage`, `seen`, or empty in train
    placement_split : `train`, or `test` for the last of several placements
        A second division, across the first: to study how models take a placement that they never saw, train and test on
        parts of both.
    """

    number: int
    user: str
    user_number: int
    stage: str
    side: str
    placement: int
    repeat: int
    held_out_user: bool
    held_out_stage: bool
    split: str
    generalization: str
    placement_split: str

    @property
    def session(self) -> str:
        """Both hands of a performance share it."""
        return f"{self.user}-{self.stage}-placement{self.placement}-repeat{self.repeat}"

    @property
    def filename(self) -> str:
        """The file's name without its ending."""
        return f"{self.session}_{self.side}"


def chosen_stages(n_stages: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the stages trained on and those held out, in the published ratio (23 to 6) with at least one of each.

    Raises
    ------
    ConfigError : fewer than 2 or more than 29.
    """
    if not MIN_STAGES <= n_stages <= N_STAGES:
        raise ConfigError(
            f"stages: expected {MIN_STAGES} (one to train on, one held out) to {N_STAGES}, got {n_stages}"
        )
    n_held_out = max(1, round(n_stages * len(HELD_OUT_STAGES) / N_STAGES))
    return TRAIN_STAGES[: n_stages - n_held_out], HELD_OUT_STAGES[:n_held_out]


def split_of_users(n_users: int) -> dict[str, int]:
    """Give the number of train, val and test users, in the published ratio with at least one of each.

    Raises
    ------
    ConfigError : fewer than 3.
    """
    if n_users < MIN_USERS:
        raise ConfigError(f"users: expected at least {MIN_USERS} (one each for train, val and test), got {n_users}")
    total = sum(_PUBLISHED_USERS.values())
    n_val = max(1, round(n_users * _PUBLISHED_USERS["val"] / total))
    n_test = max(1, round(n_users * _PUBLISHED_USERS["test"] / total))
    return {"train": n_users - n_val - n_test, "val": n_val, "test": n_test}


def plan_recordings(
    n_users: int, n_stages: int, *, placements: int = 2, repeats: int = 2, prefix: str = "sim"
) -> list[PlannedRecording]:
    """Lay out a data set in which every user does every stage with both hands, all placements and all repeats.

    Parameters
    ----------
    n_users, n_stages : int
    placements : int
        Of the band, per user and hand.
    repeats : int
        Of each stage, per placement.
    prefix : str
        Users are called `<prefix>-u000` and so on.

    Returns
    -------
    list of PlannedRecording, by user, stage, placement, repeat and side

    Raises
    ------
    ConfigError : fewer than 3 users, 2 stages, 2 repeats or 1 placement: some condition would have no recording; or
        more than a million recordings.
    """
    trained, held_out = chosen_stages(n_stages)
    _require_counts(n_users * n_stages * placements * repeats * len(SIDES), placements, repeats)
    roles = [role for role, count in split_of_users(n_users).items() for _ in range(count)]
    laid_out = product(enumerate(roles), (*trained, *held_out), range(placements), range(repeats), SIDES)
    plan = []
    for number, ((user_number, role), stage, placement, repeat, side) in enumerate(laid_out):
        split, generalization = _split(role, stage in held_out, repeat == repeats - 1)
        plan.append(
            PlannedRecording(
                number=number,
                user=f"{prefix}-u{user_number:03d}",
                user_number=user_number,
                stage=stage,
                side=side,
                placement=placement,
                repeat=repeat,
                held_out_user=role != "train",
                held_out_stage=stage in held_out,
                split=split,
                generalization=generalization,
                placement_split="test" if 0 < placement == placements - 1 else "train",
            )
        )
    return plan


def _require_counts(n_recordings: int, placements: int, repeats: int) -> None:
    if placements < 1:
        raise ConfigError(f"placements: expected at least 1, got {placements}")
    if repeats < MIN_REPEATS:
        raise ConfigError(
            f"repeats: expected at least {MIN_REPEATS}, got {repeats}; the last one is the condition `seen`, which is "
            "never trained on"
        )
    if n_recordings > MAX_RECORDINGS:
        raise ConfigError(
            f"users x stages x placements x repeats x {len(SIDES)} hands: expected at most {MAX_RECORDINGS:,} "
            f"recordings, got {n_recordings:,}"
        )


def _split(role: str, held_out_stage: bool, last_repeat: bool) -> tuple[str, str]:
    if role != "train":
        return role, "user_stage" if held_out_stage else "user"
    if held_out_stage:
        return "test", "stage"
    return ("test", "seen") if last_repeat else ("train", "")


METADATA_COLUMNS: Final = (
    "filename",
    "session",
    "user",
    "stage",
    "side",
    "moving_hand",
    "held_out_user",
    "held_out_stage",
    "split",
    "generalization",
    "start",
    "end",
    "placement",
    "placement_split",
    "repeat",
)


def metadata_rows(plan: Sequence[PlannedRecording], seconds: float) -> list[dict[str, object]]:
    """Give the rows of metadata.csv for recordings of this length [s]."""
    rows = []
    for recording in plan:
        start_s = start_time_s(recording, seconds)
        row = {name: getattr(recording, name) for name in METADATA_COLUMNS if hasattr(recording, name)}
        rows.append({**row, "moving_hand": "both", "start": start_s, "end": start_s + seconds})
    return rows


# 1 January 2024, 00:00 UTC: simulated recordings follow one another from there on.
_FIRST_START_S: Final = 1_704_067_200.0
_PAUSE_S: Final = 60.0


def start_time_s(recording: PlannedRecording, seconds: float) -> float:
    """Unix time at which a recording is said to begin; both hands of a session at the same time."""
    return _FIRST_START_S + (recording.number // len(SIDES)) * (seconds + _PAUSE_S)
