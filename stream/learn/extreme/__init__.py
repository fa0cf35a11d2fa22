"""The learner for label spaces too large to score whole: a shortlist, then a re-scorer."""
