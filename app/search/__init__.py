"""Full-text search over a user's messages and chats: parser, tokenizer, ranking, and the index of each database."""
