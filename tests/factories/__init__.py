"""Small models, recipes, manifests and run folders that tests make: one place for all of them."""
