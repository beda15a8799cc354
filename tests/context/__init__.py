"""Context for a model: generated histories against a checker of each provider's rules, and the routes."""
