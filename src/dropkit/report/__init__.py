"""What a study found, as plain data, and the pages and tables drawn from it."""
