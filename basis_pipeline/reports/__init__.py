"""Pages for people: the tear sheet of a run, the comparison of runs, their pictures and prints."""
