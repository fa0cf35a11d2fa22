"""A Hoeffding adaptive tree over the features, for all labels at once."""
