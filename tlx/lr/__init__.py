"""A learning-rate range test of a configuration, before anything is trained with it."""
