"""The rooms of the ingress: what each group of HTTP routes checks, asks and answers."""
