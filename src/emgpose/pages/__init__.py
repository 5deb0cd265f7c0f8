"""Self-contained HTML pages: a moving hand with its EMG and joint traces, readable without a network."""

from emgpose.pages.emg_envelope import EmgEnvelope
from emgpose.pages.hand_page import write_hand_page
from emgpose.pages.track import Track

__all__ = ["EmgEnvelope", "Track", "write_hand_page"]
