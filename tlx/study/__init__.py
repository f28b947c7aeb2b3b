"""A study: the order of its runs, their processes, and the pilot of `policy=auto`.

Nothing is imported here: Hydra loads `tlx.study.sweeper` in every program that uses Hydra.
"""
