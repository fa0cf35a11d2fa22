"""The learner for label spaces in which every label is a candidate."""
