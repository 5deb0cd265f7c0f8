"""Make a prepared store from a folder of recordings: resumable, in many processes, verified at its end."""

from emgpose.store.prepare import PrepareReport, prepare_store

__all__ = ["PrepareReport", "prepare_store"]
