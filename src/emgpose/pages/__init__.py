"""Self-contained HTML pages: a moving hand with its EMG and joint traces, readable without a network."""

from emgpose.pages.emg_envelope import EmgEnvelope
from emgpose.pages.hand_page import Track, write_hand_page

__all__ = ["EmgEnvelope", "Track", "write_hand_page"]
