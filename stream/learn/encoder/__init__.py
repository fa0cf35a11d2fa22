"""Embeddings that learn from the stream: PRIME (Dahiya et al., NAACL 2025), made online.

`encoders` is what embeds an event, `trainer` what learns one; `trial` says when a learnt one may
take over. torch is needed to train only.
"""
