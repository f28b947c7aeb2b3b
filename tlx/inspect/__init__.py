"""Look at what runs found, picture by picture, in FiftyOne: `python -m tlx.inspect RUN…`."""
