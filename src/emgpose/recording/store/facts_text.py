"""Facts of a recording as JSON text, and back, so that a stored recording says what its original said."""

import dataclasses
import json
from typing import Any, Final

import numpy as np

from emgpose.preprocessing import Preprocessing
from emgpose.recording.facts import SessionFacts

IN_A_STORE: Final = ", in a store"
ROUNDED: Final = "EMG was rounded to float16 when the store was prepared"
_ARRAY: Final = "__array__"


def stored_facts(facts: SessionFacts, *, float16: bool) -> SessionFacts:
    """Give the facts of an original as its store will state them, but for the format's name."""
    if not (float16 and facts.channel_names):
        return facts
    return dataclasses.replace(facts, notes=(*facts.notes, ROUNDED))


def facts_to_text(facts: SessionFacts) -> str:
    """Write facts as one line of JSON."""
    values = {field.name: getattr(facts, field.name) for field in dataclasses.fields(facts)}
    values["preprocessing"] = facts.preprocessing.to_config()
    values["attributes"] = {name: _plain(value) for name, value in facts.attributes.items()}
    return json.dumps(values, sort_keys=True)


def facts_from_text(text: str) -> SessionFacts:
    """Read what `facts_to_text` wrote; the format's name says that the recording comes from a store."""
    values = json.loads(text)
    values["format"] = values["format"].removesuffix(IN_A_STORE) + IN_A_STORE
    values["preprocessing"] = Preprocessing.from_config(values["preprocessing"])
    values["channel_names"] = tuple(values["channel_names"])
    values["notes"] = tuple(values["notes"])
    values["attributes"] = {name: _as_it_was(value) for name, value in values["attributes"].items()}
    return SessionFacts(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        dtype = "O" if value.dtype.hasobject else value.dtype.str
        values = np.char.decode(value, "utf-8", "surrogateescape") if value.dtype.kind == "S" else value
        return {_ARRAY: dtype, "values": _plain(values.tolist())}
    if isinstance(value, np.longdouble):  # whose `item` is itself
        return float(value)
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _as_it_was(value: Any) -> Any:
    if isinstance(value, dict) and _ARRAY in value:
        dtype = np.dtype(value[_ARRAY])
        if dtype.kind == "S":
            return np.char.encode(np.array(value["values"], dtype="U"), "utf-8", "surrogateescape").astype(dtype)
        return np.array(value["values"], dtype=dtype)
    return value
