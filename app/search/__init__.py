"""Full-text search over a user's messages and chats: one parser, one tokenizer, an index of either database's own."""
