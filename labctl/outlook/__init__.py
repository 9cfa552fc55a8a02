"""What a plan means for the day at the bench: materials, people, hazards, the course over time."""
