"""The endpoint: HTTP on one side, an immutable view of the model on the other."""
