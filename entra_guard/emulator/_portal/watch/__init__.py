"""The pages of the activity, and of test conditions with the sample API."""
