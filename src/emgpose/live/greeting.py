"""What receivers and users are told before the first frame."""

from emgpose.live.chunk import SourceFacts
from emgpose.live.emg_path import EmgPath
from emgpose.live.pose_frame import Hello
from emgpose.models import EmgModel


def hello_of(model: EmgModel, source: SourceFacts, path: EmgPath, hand: str) -> Hello:
    """Give the facts of a live hand; `hand` is the hand model's name."""
    # Where steps wait for the feature frame after them.
    wait_s = (model.frame_grid.left_context - model.left_context) / model.sample_rate_hz
    return Hello(
        model=model.name,
        task=model.task,
        source=source.name,
        hand=hand,
        rate_hz=model.sample_rate_hz / model.stride,
        sample_rate_hz=source.sample_rate_hz,
        channel_names=path.channel_names,
        delay_s=wait_s + path.delay_s,
        side=source.side or "unknown",
        trained_on=model.card.trained_on,
        is_simulated=source.is_simulated,
    )


def warnings_of(model: EmgModel, source: SourceFacts, path: EmgPath) -> list[str]:
    """Say what a user must know before trusting the poses, one sentence each."""
    doubt = model.card.doubt(source.is_simulated)
    found = [doubt] if doubt else []
    if not source.is_causal:
        found.append("the source's samples depend on later ones: what is seen is better than it could be live")
    return found + path.warnings
