"""Where live poses go, and where live EMG is recorded: `Sinks` is all of them at once."""

from emgpose.live.sinks.opening import FORMS, SinkSettings, open_sink
from emgpose.live.sinks.recording import RecordingSettings
from emgpose.live.sinks.several import Sinks
from emgpose.live.sinks.sink import ChunkSink, Sink

__all__ = ["FORMS", "ChunkSink", "RecordingSettings", "Sink", "SinkSettings", "Sinks", "open_sink"]
