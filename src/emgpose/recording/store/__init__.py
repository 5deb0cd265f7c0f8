"""The prepared store: all recordings of a data set in a few packed, checksummed files; `emgpose.store` writes it."""

from emgpose.recording.store.index import StoreIndex
from emgpose.recording.store.layout import is_store
from emgpose.recording.store.reader import Store, StoreReader, is_in_store, open_store, stored_session_at

__all__ = ["Store", "StoreIndex", "StoreReader", "is_in_store", "is_store", "open_store", "stored_session_at"]
