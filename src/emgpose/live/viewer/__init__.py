"""The live hand in the browser."""
