"""What every program needs: errors, files that are written whole, locks, words for people."""
