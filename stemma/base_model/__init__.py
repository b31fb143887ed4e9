"""A recipe's base model as it lies on this machine: files, headers, tokenizer, and their check."""
