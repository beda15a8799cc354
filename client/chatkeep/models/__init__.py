"""What the service answers, as Pydantic models."""
