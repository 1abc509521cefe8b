"""The store for people and programs that ask in SQL: views, what they mean, and questions that only read."""
