"""Links to installed models in the folders of other programs."""
