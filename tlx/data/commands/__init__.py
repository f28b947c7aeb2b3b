"""The commands of `tlx data`: one module each, its text what `tlx data COMMAND --help` prints."""
