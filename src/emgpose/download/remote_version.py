"""Which version of a file a server holds, and whether two answers speak of the same one."""

from dataclasses import dataclass

from emgpose.download.transport import Answer


@dataclass(frozen=True)
class RemoteVersion:
    """A remote file's version.

    Parameters
    ----------
    size_bytes : int or None
        Of the whole file; None where the server does not say.
    etag, last_modified : str or None
        As the server sent them.
    """

    size_bytes: int | None
    etag: str | None
    last_modified: str | None

    @classmethod
    def of(cls, answer: Answer, size_bytes: int | None) -> "RemoteVersion":
        """Read it from an answer's headers."""
        return cls(size_bytes, answer.header("ETag"), answer.header("Last-Modified"))

    @property
    def validator(self) -> str | None:
        """What `If-Range` takes: a strong ETag, else the date of change; None where nothing tells versions apart."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified

    def is_same(self, other: "RemoteVersion") -> bool:
        """Whether size and validator agree; without a validator nothing says so."""
        return (
            self.validator is not None
            and self.validator == other.validator
            and None not in (self.size_bytes, other.size_bytes)
            and self.size_bytes == other.size_bytes
        )

    def __str__(self) -> str:
        size = "size unknown" if self.size_bytes is None else f"{self.size_bytes:,} bytes"
        return f"{size}, {self.validator or 'no ETag'}"
