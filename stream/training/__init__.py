"""Encoders trained beside the stream: in a process of their own, or for tests at once."""
