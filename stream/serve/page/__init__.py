"""The live page at `/`, for people who would rather look than read."""
