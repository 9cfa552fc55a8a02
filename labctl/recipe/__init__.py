"""The recipe language: its model, how it is read, and its steps, one file each."""
