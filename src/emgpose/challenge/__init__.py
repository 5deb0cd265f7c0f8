"""The NeurIPS 2026 EEG/EMG challenge, track 4: a model as a submission, and a dry run of it. See docs/challenge.md."""
