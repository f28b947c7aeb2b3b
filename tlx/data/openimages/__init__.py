"""Open Images by class name: which boxes and pictures there are, and how they come here.

Nothing here trains: a finished folder is read by the format `openimages`.
"""
