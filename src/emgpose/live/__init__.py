"""The live hand: sources of EMG, the engine, sinks for poses, the viewer, and models for other runtimes."""
