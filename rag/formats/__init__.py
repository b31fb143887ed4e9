"""Files of documents as text with places, a module each format."""
