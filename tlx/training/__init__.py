"""One run: data, model and freeze put together, trained, evaluated and recorded."""
