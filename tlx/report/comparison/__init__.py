"""What a report says in numbers and words: arms, figures, differences, verdicts, advice."""
