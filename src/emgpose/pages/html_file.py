"""Parts of any self-contained page: arrays, text and scripts put safely into HTML."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgpose.version import __version__

MARKER = re.compile(r"@@([A-Z_]+)@@")


def package_text(name: str) -> str:
    """Return a template, script or style sheet that ships with this package."""
    return files("emgpose.pages").joinpath(name).read_text(encoding="utf-8")


def escaped(text: object) -> str:
    """Return text for an HTML element or a quoted attribute."""
    return html.escape(str(text), quote=True)


def script_json(value: Any) -> str:
    """Return JSON for a `<script type="application/json">` element.

    The characters that could end the element or open a comment in it are written as JSON escapes.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def packed(array: NDArray[Any], dtype: str) -> dict[str, Any]:
    """Return an array as little-endian base64 with its shape, for `emgpose.unpack` in hand.js."""
    values = np.ascontiguousarray(array).astype(np.dtype(dtype).newbyteorder("<"))
    return {"dtype": dtype, "shape": list(values.shape), "base64": base64.b64encode(values.tobytes()).decode("ascii")}


def filled(template: str, parts: Mapping[str, str]) -> str:
    """Put parts in the place of their @@NAME@@ in one pass, so that markers inside a part stay text."""
    return MARKER.sub(lambda match: parts[match[1]], template)


def html_document(title: str, body: str, *, style: str, script: str, data: Any) -> str:
    """Return a whole page that needs no other file; its policy lets nothing run but this script.

    Parameters
    ----------
    title : str
    body : str
        HTML, with all text in it `escaped`.
    style, script : str
    data : object
        Plain data for JSON, which the script finds under the id `data`.
    """
    parts = {
        "TITLE": escaped(title),
        "VERSION": escaped(__version__),
        "STYLE": style,
        "STYLE_HASH": _content_hash(style),
        "SCRIPT": script,
        "SCRIPT_HASH": _content_hash(script),
        "BODY": body,
        "DATA": script_json(data),
    }
    return filled(package_text("document.html"), parts)


def _content_hash(text: str) -> str:
    """Return the source expression by which a content security policy allows one inline script or style sheet."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
