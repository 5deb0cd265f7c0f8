"""Texts from a file or a library in one short line, whatever is in them."""


def shown(name: str) -> str:
    """Give a name from a file in one line, whatever is in it."""
    return name if name.isprintable() else ascii(name)


def first_line(error: BaseException) -> str:
    """Give an error's first line, short."""
    # Without torch's advice after the first sentence, which is to load the file unsafely.
    text = str(error).strip().split("\n", 1)[0].split(". In PyTorch", 1)[0] or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
