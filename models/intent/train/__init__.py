"""How a classifier is made, from labels to an artefact; needs the ``train`` extra, and never runs in service."""
