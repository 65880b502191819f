"""Check: exercises that answer by what a solution does, and remember what was solved."""
