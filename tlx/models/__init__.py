"""Networks as named blocks, and how their frozen part is run fast: folded, without autograd."""
