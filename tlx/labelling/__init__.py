"""Label one's own pictures as they are taken: a page of the browser, or a window."""
