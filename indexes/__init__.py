"""Indexes of label prototypes: exact, faiss on the CPU, faiss on a GPU; knows no streams."""
