"""Context for a model: what of a chat is sent, in which shape, and what a provider would refuse."""
