"""What each installed engine can run on, in its own words."""
