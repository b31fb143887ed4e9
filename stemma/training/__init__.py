"""Training: a recipe's stage as an Axolotl run, from rows to a merged, checked model."""
