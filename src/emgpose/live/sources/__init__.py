"""Where live EMG comes from."""
