"""Label partitions: online, divisive and agglomerative clustering of labels on co-occurrence.

iHOMER (Neves et al., ECAI 2025) partitions labels with ODAC on Jaccard similarity. Nearly all
pairs of an extreme label space never co-occur, where that criterion ties; here a label moves to
the leaf that explains most of its co-occurrences beyond chance, and leaves split and merge by
the density of links between their parts against a local null model.
"""
