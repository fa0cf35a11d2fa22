"""Views of the model in memory that another process maps: the endpoint's, beside the pipeline's."""
