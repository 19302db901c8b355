"""Analysis: the stages that look at a trained model, one file for each."""
