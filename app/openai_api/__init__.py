"""OpenAI's Conversations API: chats as conversations, messages as items, for clients that were written for it."""
