"""Detection in pictures, videos and camera streams: source, reader, model, overlay, outputs.

Memory stays bounded: the reader holds a few frames, and every output is written as it comes.
"""
