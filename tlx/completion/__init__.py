"""Shell completion of `tlx`: what may stand at a place of the command line."""
