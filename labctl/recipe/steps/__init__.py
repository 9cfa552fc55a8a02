"""The verbs of the recipe language, one file each: fields, effect, estimate, resume class, run."""
