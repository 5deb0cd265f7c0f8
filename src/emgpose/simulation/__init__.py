"""Simulated people, bands, movements and EMG, and whole data sets of them."""
