"""The OpenAI Conversations API, by OpenAI's own client."""
