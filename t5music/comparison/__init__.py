"""Comparison: what music is worth, beside other music: by numbers (`compare`) and by listeners (`listen`)."""
