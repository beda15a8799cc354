"""What agents that run inside the service's own process need."""
