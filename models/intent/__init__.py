"""What a contact wants: the taxonomy, the classifier, and the batches that feed it."""
