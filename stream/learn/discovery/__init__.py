"""Possible new labels: events that no known label explains, clustered online."""

from stream.learn.discovery.discovery import Discovery

__all__ = ["Discovery"]
