"""The exceptions that emgpose raises; catch `EmgPoseError` for all of them.

    EmgPoseError
    ├── ConfigError            a configuration names or holds something impossible
    ├── DataError              a recording or table cannot be used
    │   ├── SessionFormatError     the file is not what its reader expects
    │   ├── ShapeError             an array has the wrong axes
    │   └── SplitError             a split or group query finds nothing or contradicts itself
    ├── CheckpointError        a model file cannot be loaded, or must not be
    ├── MissingExtraError      an optional library is not installed
    └── StreamError            a stream cannot go on
        └── RateMismatch           its sample rate is not the one expected

Every message says what was expected, what came, where, and what to do.
"""


class EmgPoseError(Exception):
    """Anything that emgpose raises on purpose."""


class ConfigError(EmgPoseError):
    """A configuration names or holds something impossible."""


class DataError(EmgPoseError):
    """A recording or table cannot be used."""


class SessionFormatError(DataError):
    """A file is not what its reader expects."""


class ShapeError(DataError):
    """An array has the wrong axes."""


class SplitError(DataError):
    """A split or group query finds nothing or contradicts itself."""


class CheckpointError(EmgPoseError):
    """A model file cannot be loaded, or must not be."""


class MissingExtraError(EmgPoseError):
    """An optional library is not installed."""


class StreamError(EmgPoseError):
    """A stream cannot go on."""


class RateMismatch(StreamError):  # noqa: N818 - the field's word, as in the style guide
    """A stream's sample rate is not the one expected."""


class SourceLost(StreamError):  # noqa: N818 - the field's word, as in the style guide
    """A live source has gone; it may come back."""


class SourceEnded(StreamError):  # noqa: N818 - not a fault: the end of a recording
    """A live source has no more samples and never will."""
