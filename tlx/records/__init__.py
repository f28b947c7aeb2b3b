"""What a run leaves: its record, its checkpoints as files, its predictions, its arm."""
